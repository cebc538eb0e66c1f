//! An episode as an animated PNG file, which browsers play.

use png::{BitDepth, ColorType, Encoder, EncodingError};

/// The whole file, for photographs `[height, width, 3]` of so many pixels, each shown
/// for so many seconds.
pub(super) fn picture(
    title: &str,
    [width, height]: [usize; 2],
    frames: &[Vec<u8>],
    seconds: f64,
) -> Result<Vec<u8>, EncodingError> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_animated(frames.len() as u32, 0)?;
    encoder.set_frame_delay((1000.0 * seconds).round() as u16, 1000)?;
    encoder.add_itxt_chunk("Title".to_owned(), title.to_owned())?;
    let mut writer = encoder.write_header()?;
    for frame in frames {
        writer.write_image_data(frame)?;
    }
    writer.finish()?;
    Ok(file)
}
