//! The data folder and its files are readable only by their owner.

use super::new_server;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn assert_private(data: &Path) {
    assert_eq!(mode(data), 0o700);
    for entry in fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

#[tokio::test]
async fn data_folder_and_files_are_private() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = new_server().with_data_dir(&data).started().await;
    server.create_user("ada@example.org");
    assert_private(&data);
    server.kill();

    // As an older version left them.
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(&data).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o644)).unwrap();
    }
    server.start().await;
    assert_private(&data);
}
