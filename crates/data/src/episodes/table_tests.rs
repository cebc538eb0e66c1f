use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Columns in memory: shape and numbers.
#[derive(Default)]
struct Memory(BTreeMap<&'static str, (Vec<u64>, Vec<f32>)>);

struct Slice {
    numbers: Vec<f32>,
    width: usize,
}

impl Numbers for Slice {
    fn read(&mut self, from: u64, count: u64) -> Result<Vec<f32>, EpisodeError> {
        let from = from as usize * self.width;
        Ok(self.numbers[from..from + count as usize * self.width].to_vec())
    }
}

impl ColumnFile for Memory {
    fn column(&self, name: &str, _: &'static str) -> Result<Column, EpisodeError> {
        let path = Path::new("memory");
        let Some((shape, numbers)) = self.0.get(name) else {
            return Err(EpisodeError::Missing {
                path: path.to_owned(),
                column: name.to_owned(),
                found: String::new(),
            });
        };
        let slice = Slice {
            numbers: numbers.clone(),
            width: shape.iter().skip(1).product::<u64>() as usize,
        };
        Column::new(path, name, shape, 1 << 20, Box::new(slice))
    }
}

/// Steps with these ends and episode numbers, `[n, 2]` observations counted on.
fn memory(terminals: &[bool], timeouts: &[bool], numbers: Option<Vec<f32>>) -> Memory {
    let n = terminals.len() as u64;
    let flags = |flags: &[bool]| {
        flags
            .iter()
            .map(|&flag| f32::from(u8::from(flag)))
            .collect()
    };
    let count: Vec<f32> = (0..2 * n).map(|i| i as f32).collect();
    let mut columns = BTreeMap::from([
        ("observations", (vec![n, 2], count.clone())),
        ("actions", (vec![n, 1], count[..n as usize].to_vec())),
        ("rewards", (vec![n], count[..n as usize].to_vec())),
        ("terminals", (vec![n], flags(terminals))),
        ("timeouts", (vec![n, 1], flags(timeouts))),
    ]);
    if let Some(numbers) = numbers {
        columns.insert("episode", (vec![n], numbers));
    }
    Memory(columns)
}

/// The starts, ends and next observations of all episodes, read in blocks of
/// `block` rows.
fn read(file: &Memory, block: u64, tail: Tail) -> (Vec<usize>, Vec<End>, Vec<f32>) {
    let path = Path::new("memory");
    let mut table = Table::open(path, file, &EpisodeColumns::default(), tail).unwrap();
    table.block = block;
    let mut all = Episodes::new(2, 1);
    while let Ok(Some(some)) = table.next() {
        all.append(&some);
    }
    let next = all.next_observations().to_vec();
    assert_eq!(next.len(), 2 * all.step_count());
    (all.starts().to_vec(), all.ends().to_vec(), next)
}

#[test]
fn a_number_that_changes_between_two_blocks_ends_the_episode() {
    let numbers = vec![7.0, 7.0, 8.0, 8.0, 8.0];
    let file = memory(&[false; 5], &[false; 5], Some(numbers));
    for block in 1..=5 {
        let (starts, ends, next) = read(&file, block, Tail::Drop);
        assert_eq!(starts, [0, 2, 5], "blocks of {block}");
        assert_eq!(ends, [End::Timeout; 2]);
        assert_eq!(next[..2], [2.0, 3.0]);
        assert!(next[2].is_nan() && next[9].is_nan());
    }
}

proptest! {
    #[test]
    fn episodes_are_the_same_whatever_the_blocks(
        steps in proptest::collection::vec(
            (proptest::bool::weighted(0.2), proptest::bool::weighted(0.2), 0_u8..2),
            1..40,
        ),
        numbered: bool,
        keep: bool,
        block in 1_u64..50,
    ) {
        let terminals: Vec<_> = steps.iter().map(|step| step.0).collect();
        let timeouts: Vec<_> = steps.iter().map(|step| step.1).collect();
        let mut number = 0.0;
        let numbers: Vec<_> = steps
            .iter()
            .map(|step| {
                number += f32::from(step.2);
                number
            })
            .collect();
        let tail = if keep { Tail::Keep } else { Tail::Drop };
        let file = memory(&terminals, &timeouts, numbered.then(|| numbers.clone()));
        let (starts, ends, next) = read(&file, block, tail);

        let n = steps.len();
        let expected: Vec<(usize, End)> = (0..n)
            .filter_map(|t| {
                let last = t + 1 == n;
                let changes = numbered && (last || numbers[t + 1] != numbers[t]);
                match end_of((terminals[t], timeouts[t] || changes)) {
                    End::Unfinished if !(last && keep) => None,
                    end => Some((t + 1, end)),
                }
            })
            .collect();
        let (expected_starts, expected_ends): (Vec<_>, Vec<_>) = expected.into_iter().unzip();
        prop_assert_eq!(&starts[1..], &expected_starts[..]);
        prop_assert_eq!(&ends, &expected_ends);
        for (&step, end) in expected_starts.iter().zip(ends) {
            let last = next[2 * (step - 1)];
            prop_assert_eq!(last.is_nan(), end != End::Terminal);
        }
    }
}
