//! What is published outlives its retention, whatever happens around it. These scenes last longer than media live, so
//! they are played at the same time.

use crate::folder::{Loss, the_folder_is};
use crate::manifests::{
    BROKEN, the_manifest_is_broken_or_absent_at_a_restart, the_table_of_a_provider_vanishes,
};
use crate::stage::{Scene, play};
use crate::{credentials, files};

#[test]
fn urls_outlive_their_retention_whatever_happens_around_them() {
    let scenes: [(&str, Scene); 10] = [
        ("the folder is renamed away", || the_folder_is(Loss::RenamedAway)),
        ("the folder is removed", || the_folder_is(Loss::Removed)),
        ("the folder is replaced by another one", || the_folder_is(Loss::Replaced)),
        ("something is mounted over the folder", || the_folder_is(Loss::MountedOver)),
        ("a file that the manifest names is deleted", files::a_file_that_the_manifest_names_is_deleted),
        ("a restart finds a broken manifest", || the_manifest_is_broken_or_absent_at_a_restart(Some(BROKEN))),
        ("a restart finds no manifest", || the_manifest_is_broken_or_absent_at_a_restart(None)),
        ("a provider's table vanishes under the daemon", || the_table_of_a_provider_vanishes(false)),
        ("a provider's table vanishes between two runs", || the_table_of_a_provider_vanishes(true)),
        ("a credential is missing and comes late", credentials::a_credential_is_missing_and_comes_late),
    ];
    play(scenes);
}
