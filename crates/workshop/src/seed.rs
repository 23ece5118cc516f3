//! A head start for the first build of an answer.
//!
//! `cargo run` has just compiled libc, serde_json and others for this very program, with the same settings. Copied
//! into the answers' own target directory, cargo takes them for its own and compiles the rest. What does not fit is
//! compiled again: at worst, this helps nobody.

use std::{
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// What cargo keeps of a compiled dependency.
const PARTS: [&str; 3] = [".fingerprint", "build", "deps"];

/// More than this is no fresh build of this program, and copying it would cost more than it saves.
const MOST_BYTES: u64 = 400 << 20;

/// Fills `target` from the directory that this program was built in, unless there is something in it already.
pub(crate) fn sow(target: &Path) {
    let debug = target.join("debug");
    if debug.exists() {
        return;
    }
    let Some(own) = own_build() else { return };
    let mut room = MOST_BYTES;
    if PARTS.iter().try_for_each(|part| measure(&own.join(part), &mut room)).is_err() {
        return;
    }
    // Copied into a folder of another name first: cut short, it is not mistaken for a whole one.
    let half = target.join("seed.part");
    drop(fs::remove_dir_all(&half));
    if PARTS.iter().try_for_each(|part| copy(&own.join(part), &half.join(part))).is_ok() {
        drop(fs::rename(&half, &debug));
    }
    drop(fs::remove_dir_all(&half));
}

/// `target/debug`, if this program lies in it.
fn own_build() -> Option<PathBuf> {
    let folder = env::current_exe().ok()?.parent()?.to_owned();
    (folder.ends_with("debug") && PARTS.iter().all(|part| folder.join(part).is_dir())).then_some(folder)
}

/// Takes what is in a folder from the room that there is; fails, and stops looking, when there is no more.
fn measure(folder: &Path, room: &mut u64) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            measure(&entry.path(), room)?;
        } else {
            *room = room.checked_sub(entry.metadata()?.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        }
    }
    Ok(())
}

/// Copies a folder with the times that cargo goes by. No hard links: cargo writes some of these files in place, and
/// would then write into the learner's own build as well.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
            continue;
        }
        fs::copy(&from, &to)?;
        File::options().append(true).open(&to)?.set_modified(entry.metadata()?.modified()?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_copied_with_its_times_while_there_is_room() {
        let folder = env::temp_dir().join(format!("workshop-seed-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(folder.join("from/inner")).expect("a folder");
        let (before, after) = (folder.join("from/inner/file"), folder.join("to/inner/file"));
        fs::write(&before, "content").expect("a file");
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        File::options().append(true).open(&before).and_then(|file| file.set_modified(old)).expect("a time");
        measure(&folder.join("from"), &mut 7).expect("room for seven bytes");
        copy(&folder.join("from"), &folder.join("to")).expect("a copy");
        assert_eq!(fs::read_to_string(&after).expect("the copy"), "content");
        assert_eq!(fs::metadata(&after).and_then(|data| data.modified()).expect("a time"), old);
        assert!(measure(&folder.join("from"), &mut 6).is_err());
        fs::remove_dir_all(&folder).expect("to clean up");
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let target = env::temp_dir().join(format!("workshop-sown-{}", std::process::id()));
        fs::create_dir_all(target.join("debug")).expect("a folder");
        sow(&target);
        assert_eq!(fs::read_dir(target.join("debug")).expect("the folder").count(), 0);
        fs::remove_dir_all(&target).expect("to clean up");
    }
}
