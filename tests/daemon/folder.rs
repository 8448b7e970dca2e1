//! The folder itself goes away, in every way that it can, and comes back.

use std::fs;
use std::time::Duration;

use crate::stage::{LIFE, Mount, Stage, file, files, pause, put, rename, skip};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    RenamedAway,
    Removed,
    Replaced,
    MountedOver,
}

/// The folder goes away for longer than media live, and is taken up again when it is back.
pub(crate) fn the_folder_is(loss: Loss) {
    let stage = Stage::new();
    let photos = ["photos/1.jpg", "photos/2.jpg", "photos/3.jpg"];
    let fill = || {
        // A mount over the folder causes no event: only a look shows it.
        let accounts = stage.accounts().replace("[sync]", "[sync]\nrescan = \"3s\"");
        stage.put("media.toml", &(accounts + &file("logo.png") + &files("photos/*.jpg", "bandwidth")));
        for photo in &photos {
            stage.put(photo, photo);
        }
    };
    fill();
    stage.put("logo.png", "before");
    let mut daemon = stage.run();
    for photo in &photos {
        stage.until_content(photo, "bandwidth", photo);
    }
    stage.until_content("logo.png", "plivo", "before");
    stage.until_content("logo.png", "bandwidth", "before");

    let (media, away) = (stage.media("").join(""), stage.beside("away"));
    let mut mount = None;
    match loss {
        Loss::RenamedAway => rename(&media, &away),
        Loss::Removed => fs::remove_dir_all(&media).unwrap(),
        Loss::Replaced => {
            rename(&media, &away);
            put(&stage.media("other.txt"), "another folder");
        }
        Loss::MountedOver => {
            mount = Mount::over(&media, 1 << 20);
            if mount.is_none() {
                return skip("nothing may be mounted here");
            }
        }
    }
    pause(LIFE + Duration::from_secs(1));
    for photo in photos {
        assert_eq!(stage.content(photo, "bandwidth").as_deref(), Some(photo), "{loss:?}: {}", stage.log());
    }
    assert_eq!(stage.content("logo.png", "plivo").as_deref(), Some("before"), "{loss:?}");
    assert!(stage.log().contains("from_kept_copy=true"), "{}", stage.log());

    match loss {
        Loss::RenamedAway => rename(&away, &media),
        Loss::Removed => fill(),
        Loss::Replaced => {
            fs::remove_dir_all(&media).unwrap();
            rename(&away, &media);
        }
        Loss::MountedOver => drop(mount.take()),
    }
    stage.put("logo.png", "after");
    for provider in ["bandwidth", "plivo"] {
        stage.until_content("logo.png", provider, "after");
    }
    stage.until("no problem is left", || {
        photos.iter().all(|photo| stage.entry(photo, "bandwidth")["problem"].is_null())
    });
    assert!(!stage.log().contains("retired: "), "{loss:?}: {}", stage.log());
    daemon.stop();
    stage.nobody_was_let_down();
}
