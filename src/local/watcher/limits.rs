//! Where watching can't work, and how to say so.

use std::path::Path;

/// The kind of network file system that a path lies on, if it does: changes made by another machine cause no
/// events there.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn network_file_system(path: &Path) -> Option<&'static str> {
    // From linux/magic.h and the sources of the file systems.
    const KINDS: [(u64, &str); 14] = [
        (0x6969, "NFS"),
        (0x517B, "SMB"),
        (0xFF53_4D42, "CIFS"),
        (0xFE53_4D42, "SMB2"),
        (0x6573_5546, "FUSE"),
        (0x0102_1997, "9P"),
        (0x5346_414F, "AFS"),
        (0x6B41_4653, "AFS"),
        (0x7375_7245, "Coda"),
        (0x00C3_6400, "Ceph"),
        (0x0BD0_0BD0, "Lustre"),
        (0x0116_1970, "GFS2"),
        (0x7461_636F, "OCFS2"),
        (0x786F_4256, "a VirtualBox share"),
    ];
    let found = rustix::fs::statfs(path).ok()?.f_type;
    // The field is signed on some machines: a magic number is its lower half.
    let magic = u64::try_from(i128::from(found) & 0xFFFF_FFFF).ok()?;
    KINDS.into_iter().find(|(kind, _)| *kind == magic).map(|(_, name)| name)
}

/// Not known on this system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn network_file_system(_path: &Path) -> Option<&'static str> {
    None
}

/// How many watches the system allows, for all programs of one user together.
pub(super) fn watches_max() -> Option<usize> {
    std::fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?.trim().parse().ok()
}

/// What to tell people who ran out of watches.
pub(super) fn too_few_watches(needed: usize) -> String {
    let limit = watches_max().map_or_else(|| "fewer".to_owned(), |limit| limit.to_string());
    let enough = (2 * needed).max(524_288);
    format!(
        "watching needs {needed} inotify watches and the system allows {limit} to all programs of this user; \
         set fs.inotify.max_user_watches = {enough} with sysctl"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_folder_is_no_network_file_system() {
        assert_eq!(network_file_system(&std::env::temp_dir()), None);
        assert_eq!(network_file_system(Path::new("/there/is/no/such/folder")), None);
    }

    #[test]
    fn the_advice_names_the_need_and_the_setting() {
        let advice = too_few_watches(300_000);
        assert!(
            advice.contains("300000") && advice.contains("fs.inotify.max_user_watches = 600000"),
            "{advice}"
        );
    }
}
