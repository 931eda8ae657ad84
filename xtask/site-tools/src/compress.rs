//! Brotli and gzip at their best quality, so that the server never compresses a
//! file of the site.

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::path::Path;

const BROTLI_QUALITY: u32 = 11;
/// A window of 4 MiB, which is larger than any file of the site.
const BROTLI_WINDOW: u32 = 22;

/// Writes `FILE.br` and `FILE.gz` for every file.
pub(crate) fn compress_files(files: &[&str]) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            files.iter().map(|file| scope.spawn(|| compress_file(Path::new(file)))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })
}

fn compress_file(path: &Path) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    for (extension, compressed) in [("br", brotli(&bytes)?), ("gz", gzip(&bytes)?)] {
        let path = path.with_added_extension(extension);
        fs::write(&path, compressed).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn brotli(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer =
        brotli::CompressorWriter::new(Vec::new(), 64 * 1024, BROTLI_QUALITY, BROTLI_WINDOW);
    writer.write_all(bytes).context("brotli failed")?;
    writer.flush().context("brotli failed")?;
    Ok(writer.into_inner())
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::best());
    writer.write_all(bytes).context("gzip failed")?;
    writer.finish().context("gzip failed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn compressed_files_decompress_to_the_original() {
        let text = "a line that repeats itself\n".repeat(500);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.js");
        fs::write(&path, &text).unwrap();
        compress_files(&[path.to_str().unwrap()]).unwrap();

        let br = fs::read(path.with_added_extension("br")).unwrap();
        let mut decompressed = String::new();
        brotli::Decompressor::new(&br[..], 4096).read_to_string(&mut decompressed).unwrap();
        assert_eq!(decompressed, text);
        assert!(br.len() < text.len() / 10, "{} bytes", br.len());

        let gz = fs::read(path.with_added_extension("gz")).unwrap();
        decompressed.clear();
        flate2::read::GzDecoder::new(&gz[..]).read_to_string(&mut decompressed).unwrap();
        assert_eq!(decompressed, text);
    }
}
