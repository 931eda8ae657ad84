//! `.br` and `.gz`, made once at their best, so that the server never
//! compresses a file of the site.

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// Brotli's best quality, and a window of 4 MiB: larger than any file here.
const QUALITY: u32 = 11;
const WINDOW: u32 = 22;

/// What a browser with Brotli downloads.
pub(crate) fn brotli(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 64 * 1024, QUALITY, WINDOW);
    writer.write_all(bytes).context("brotli failed")?;
    writer.flush().context("brotli failed")?;
    Ok(writer.into_inner())
}

/// What everybody else downloads.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::best());
    writer.write_all(bytes).context("gzip failed")?;
    writer.finish().context("gzip failed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn both_come_back_as_they_were() {
        let text = "a line that repeats itself\n".repeat(500);
        let mut back = String::new();
        let br = brotli(text.as_bytes()).unwrap();
        brotli::Decompressor::new(&br[..], 4096).read_to_string(&mut back).unwrap();
        assert_eq!(back, text);
        assert!(br.len() < text.len() / 10, "{} bytes", br.len());

        back.clear();
        let gz = gzip(text.as_bytes()).unwrap();
        flate2::read::GzDecoder::new(&gz[..]).read_to_string(&mut back).unwrap();
        assert_eq!(back, text);
    }
}
