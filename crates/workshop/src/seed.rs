//! A head start for the first build of an answer.
//!
//! `cargo run` has just compiled libc, serde_json and others for this very program, with the same settings. Linked into
//! the answers' own target directory, cargo takes them for its own and compiles the rest. What does not fit is compiled
//! again: at worst, this helps nobody.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// What cargo keeps of a compiled dependency.
const PARTS: [&str; 3] = [".fingerprint", "build", "deps"];

/// Fills `target` from the directory that this program was built in, unless there is something in it already.
pub(crate) fn sow(target: &Path) {
    let debug = target.join("debug");
    if debug.exists() {
        return;
    }
    let Some(own) = own_build() else { return };
    // Linked into a folder of another name first: cut short, it is not mistaken for a whole one.
    let half = target.join("seed.part");
    drop(fs::remove_dir_all(&half));
    if PARTS.iter().try_for_each(|part| link(&own.join(part), &half.join(part))).is_ok() {
        drop(fs::rename(&half, &debug));
    }
    drop(fs::remove_dir_all(&half));
}

/// `target/debug`, if this program lies in it.
fn own_build() -> Option<PathBuf> {
    let folder = env::current_exe().ok()?.parent()?.to_owned();
    (folder.ends_with("debug") && PARTS.iter().all(|part| folder.join(part).is_dir())).then_some(folder)
}

/// Hard links keep the times that cargo goes by, and cost no space.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link(&entry.path(), &to)?;
        } else {
            fs::hard_link(entry.path(), &to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_linked_with_all_that_is_in_it() {
        let folder = env::temp_dir().join(format!("workshop-seed-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(folder.join("from/inner")).expect("a folder");
        fs::write(folder.join("from/inner/file"), "content").expect("a file");
        link(&folder.join("from"), &folder.join("to")).expect("a link");
        let (before, after) = (folder.join("from/inner/file"), folder.join("to/inner/file"));
        assert_eq!(fs::read_to_string(&after).expect("the link"), "content");
        let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).expect("a time");
        assert_eq!(time(&before), time(&after));
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
