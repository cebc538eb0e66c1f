//! The shapes of a robot, as its model's text describes them: for pictures.

use roxmltree::{Document, Node};

/// A capsule (or a ball, where both ends are the same) in the frame of a body.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limb {
    /// Number of the body; 0 is the world.
    pub(super) body: usize,
    pub(super) ends: [[f64; 3]; 2],
    pub(super) radius: f64,
    /// Whether it has a colour of its own, as left legs have.
    pub(super) is_other_side: bool,
}

/// All capsules and balls of the model. Bodies are numbered as MuJoCo does, in the
/// order of the text. A text that cannot be read has none.
pub(super) fn limbs(text: &str) -> Vec<Limb> {
    let Ok(document) = Document::parse(text) else {
        return Vec::new();
    };
    let root = document.root_element();
    let child = |name| root.children().find(|node| node.has_tag_name(name));
    let in_degrees = child("compiler").and_then(|node| node.attribute("angle")) != Some("radian");
    let Some(world) = child("worldbody") else {
        return Vec::new();
    };
    let bodies = world
        .descendants()
        .filter(|node| node.has_tag_name("body"))
        .enumerate();
    bodies
        .flat_map(|(index, body)| {
            let shapes = body.children().filter(|node| node.has_tag_name("geom"));
            shapes.filter_map(move |shape| limb(index + 1, shape, in_degrees))
        })
        .collect()
}

fn limb(body: usize, shape: Node<'_, '_>, in_degrees: bool) -> Option<Limb> {
    let size = numbers(shape, "size")?;
    let radius = *size.first()?;
    let ends = match (shape.attribute("type")?, numbers(shape, "fromto")) {
        ("capsule", Some(ends)) => {
            let (first, second) = ends.split_at_checked(3)?;
            [first.try_into().ok()?, second.try_into().ok()?]
        }
        ("capsule", None) => {
            let centre = position(shape);
            let half = *size.get(1)?;
            let axis = upright(shape, in_degrees);
            [-half, half].map(|along| std::array::from_fn(|i| centre[i] + along * axis[i]))
        }
        ("sphere", _) => [position(shape); 2],
        _ => return None,
    };
    Some(Limb {
        body,
        ends,
        radius,
        is_other_side: shape.has_attribute("rgba"),
    })
}

fn numbers(node: Node<'_, '_>, name: &str) -> Option<Vec<f64>> {
    let text = node.attribute(name)?;
    text.split_whitespace()
        .map(|part| part.parse().ok())
        .collect()
}

fn position(shape: Node<'_, '_>) -> [f64; 3] {
    let found = numbers(shape, "pos").and_then(|numbers| numbers.try_into().ok());
    found.unwrap_or_default()
}

/// Where a shape's own z axis points to.
fn upright(shape: Node<'_, '_>, in_degrees: bool) -> [f64; 3] {
    let [w, x, y, z] = match (numbers(shape, "quat"), numbers(shape, "axisangle")) {
        (Some(quaternion), _) if quaternion.len() == 4 => {
            [quaternion[0], quaternion[1], quaternion[2], quaternion[3]]
        }
        (_, Some(turn)) if turn.len() == 4 => {
            let angle = if in_degrees {
                turn[3].to_radians()
            } else {
                turn[3]
            };
            let (sin, cos) = (0.5 * angle).sin_cos();
            [cos, sin * turn[0], sin * turn[1], sin * turn[2]]
        }
        _ => [1.0, 0.0, 0.0, 0.0],
    };
    [
        2.0 * (x * z + w * y),
        2.0 * (y * z - w * x),
        1.0 - 2.0 * (x * x + y * y),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_stand_where_the_text_has_them() {
        let text = r#"<mujoco><compiler angle="radian"/><worldbody>
            <geom type="plane" size="4 4 4"/>
            <body><geom type="sphere" size=".25" pos="0 0 .5"/>
              <body>
                <geom type="capsule" size=".1 .5" pos="1 0 0" axisangle="0 1 0 1.5707963267948966"/>
              </body>
            </body>
            <body><geom type="capsule" size=".05" fromto="0 0 0 1 2 3" rgba="1 0 0 1"/></body>
        </worldbody></mujoco>"#;
        let found = limbs(text);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!((found[0].body, found[0].ends), (1, [[0.0, 0.0, 0.5]; 2]));
        let [from, to] = found[1].ends;
        for (found, expected) in from.iter().chain(&to).zip([0.5, 0.0, 0.0, 1.5, 0.0, 0.0]) {
            assert!((found - expected).abs() < 1e-12, "{from:?} {to:?}");
        }
        assert_eq!(
            found[2].body, 3,
            "a body behind one that is inside of another"
        );
        assert!(found[2].is_other_side && !found[1].is_other_side);
        assert!(limbs("no model").is_empty());
    }
}
