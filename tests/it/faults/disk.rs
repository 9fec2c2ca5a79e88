//! A real disk that refuses: no permission, no room, a file where a folder should be.

use std::path::Path;
use std::process::Command;

use coldframe::ErrorKind;
use coldframe::storage::LocalFolder;
use object_store::ObjectStoreExt;

use super::{LARGE, live, noise, table};
use crate::support::{local, local_in, small};

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_denied_with_a_hint() {
    // Not even root may make a folder here.
    let forbidden = Path::new("/sys/kernel");
    if !forbidden.is_dir() {
        println!("skipped: there is no {} here", forbidden.display());
        return;
    }
    let store = local_in(&forbidden.join("store")).await;
    let error = store.put("k", small()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
    assert!(error.hint().is_some() && error.to_string().contains("/sys/kernel"), "{error:?}");
    assert_eq!(store.get("k").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[cfg(unix)]
#[tokio::test]
async fn a_read_only_folder_can_be_read_and_not_written() {
    use std::os::unix::fs::PermissionsExt;

    let (folder, store) = local().await;
    store.put("k", small()).await.unwrap();
    let chmod = |mode| {
        for inside in ["", ".tmp", "data", "data/k", "refs", "refs/k", "refs/k/@"] {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(folder.path().join(inside), permissions).unwrap();
        }
    };
    chmod(0o555);
    let bites = std::fs::write(folder.path().join("probe"), "").is_err();
    if bites {
        let error = store.put("k", small()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        assert!(error.hint().is_some());
        assert_eq!(store.delete("k").await.unwrap_err().kind(), ErrorKind::Denied);
    } else {
        println!("skipped in part: permissions do not bind this user");
    }
    assert_eq!(table(&store, "k").await, small());
    chmod(0o755);
}

#[tokio::test]
async fn parts_that_are_written_in_another_order_lie_where_they_belong() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalFolder::new(folder.path().to_owned(), false);
    let path = object_store::path::Path::parse("data/x").unwrap();
    let mut upload = store.put_multipart(&path).await.unwrap();
    let parts: Vec<_> = ["one ", "two ", "three"].map(|text| upload.put_part(text.into())).into_iter().collect();
    for part in parts.into_iter().rev() {
        part.await.unwrap();
    }
    upload.complete().await.unwrap();
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "one two three");
}

#[tokio::test]
async fn a_file_where_a_folder_should_be_is_said_to_be_one() {
    for blocked in ["data", "refs", ".tmp", "data/k", "refs/k"] {
        let (folder, store) = local().await;
        let file = folder.path().join(blocked);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "not a folder").unwrap();
        let error = store.put("k", small()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{blocked}: {error:?}");
        assert!(error.hint().is_some(), "{blocked}: {error:?}");
        assert_eq!(live(&store, "k").await, [] as [u64; 0]);
        store.settled().await;
        assert!(!folder.path().join("data").join("k").is_dir(), "{blocked}: data was left");
    }
    let (folder, _) = local().await;
    std::fs::write(folder.path().join("file"), "").unwrap();
    let store = local_in(&folder.path().join("file")).await;
    assert_eq!(store.put("k", small()).await.unwrap_err().kind(), ErrorKind::Configuration);
}

/// A process of its own may be forbidden to write large files, which is as good as a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_without_room_says_so_and_keeps_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("child"), "").unwrap();
    let script =
        "trap '' XFSZ; ulimit -f 2048; exec \"$0\" --exact faults::disk::child_without_room --ignored --nocapture";
    let mut child = Command::new("sh");
    child.args(["-c", script]).arg(std::env::current_exe().unwrap()).current_dir(folder.path());
    let output = child.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by a_disk_without_room_says_so_and_keeps_nothing"]
async fn child_without_room() {
    let folder = std::env::current_dir().unwrap();
    if !folder.join("child").exists() {
        return;
    }
    let store = local_in(&folder.join("store")).await;
    store.put("small", small()).await.unwrap();
    for rows in [300_000, LARGE] {
        let error = store.put("k", noise(9, rows)).serializer("arrow").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull, "{error:?}");
        assert!(error.hint().is_some());
        store.settled().await;
        assert_eq!(live(&store, "k").await, [] as [u64; 0]);
        let found = store.verify("", None).await.unwrap();
        assert_eq!((found.problems, found.notes), (vec![], vec![]));
    }
    assert_eq!(table(&store, "small").await, small());
}
