//! Claims about a provider that works: what is stored, under which name, and what can be asked about it.

use std::collections::HashSet;

use super::{Bench, Check, Fetched, Objection, ensure};
use crate::domain::asset::MediaId;
use crate::domain::failure::FailureClass;
use crate::domain::kind::{Expiry, HandleKind, Naming, Replacing};
use crate::provider::list_all;

type Checked = Result<(), Objection>;

/// More pages than a test account has.
const PAGES_MAX: usize = 10_000;

pub(super) const CLAIMS: &[(&str, Check)] = &[
    ("uploaded bytes come back as they were", |bench| Box::pin(bytes_come_back(bench))),
    ("content of exactly the largest size is taken", |bench| Box::pin(largest_is_taken(bench))),
    ("content above the largest size is refused before it is sent", |bench| {
        Box::pin(too_large_is_refused(bench))
    }),
    ("who names a media is as declared", |bench| Box::pin(naming_is_as_declared(bench))),
    ("unusual names keep media apart", |bench| Box::pin(unusual_names(bench))),
    ("uploading again does what is declared", |bench| Box::pin(replacing_is_as_declared(bench))),
    ("a URL is absolute, printable and short enough", |bench| Box::pin(urls_are_usable(bench))),
    ("the end of life comes from where it is declared to", |bench| Box::pin(expiry_is_as_declared(bench))),
    ("many uploads at once do not get mixed up", |bench| Box::pin(uploads_at_once(bench))),
    ("the list names what was uploaded", |bench| Box::pin(list_is_as_declared(bench))),
    ("a look-up finds what is there and nothing else", |bench| Box::pin(find_is_as_declared(bench))),
    ("what was deleted is gone, and deleting it again succeeds", |bench| {
        Box::pin(delete_is_as_declared(bench))
    }),
];

async fn bytes_come_back(bench: &Bench<'_>) -> Checked {
    let every_byte: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for (name, body) in [("one.txt", &b"x"[..]), ("lines.txt", b"\r\n--\r\n\0"), ("all.txt", &every_byte)] {
        let receipt = bench.upload(name, body.to_vec()).await?;
        bench.expect_bytes(&receipt, body).await?;
    }
    Ok(())
}

/// Providers without a real limit are not asked to prove it.
const PROVABLE_BYTES_MAX: u64 = 8_000_000;

fn of_size(bench: &Bench<'_>, more: usize) -> Result<Vec<u8>, Objection> {
    let bytes_max = bench.capabilities().max_bytes;
    let provable = bytes_max <= PROVABLE_BYTES_MAX;
    let bytes = usize::try_from(bytes_max).ok().filter(|_| provable);
    bytes.map(|bytes| vec![7; bytes + more]).ok_or(Objection::Skip("its limit is too large to be tried"))
}

async fn largest_is_taken(bench: &Bench<'_>) -> Checked {
    let body = of_size(bench, 0)?;
    let receipt = bench.upload("largest.txt", body.clone()).await?;
    bench.expect_bytes(&receipt, &body).await
}

async fn too_large_is_refused(bench: &Bench<'_>) -> Checked {
    let body = of_size(bench, 1)?;
    let before = bench.subject.requests();
    match bench.provider.upload(bench.request("too-large.txt", body)).await {
        Ok(_) => return Err(Objection::Broken("it was taken".to_owned())),
        Err(failure) => ensure(failure.class == FailureClass::ContentRefused, || {
            format!("the failure is {}: {failure}", failure.class)
        })?,
    }
    let after = bench.subject.requests();
    ensure(before == after, || format!("{after:?} requests came in, {before:?} of them before"))
}

async fn naming_is_as_declared(bench: &Bench<'_>) -> Checked {
    let request = bench.request("named.txt", &b"x"[..]);
    let asked = request.id.clone();
    let receipt = bench.provider.upload(request.clone()).await?;
    match bench.capabilities().naming {
        Naming::Client => ensure(Some(&receipt.id) == asked.as_ref(), || {
            format!("{asked:?} was asked for, and it became {:?}", receipt.id)
        }),
        Naming::Server => {
            let again = bench.provider.upload(request).await?;
            ensure(receipt.id != again.id && receipt.url != again.url, || {
                format!("two uploads are both {:?}", receipt.id)
            })
        }
        Naming::Alias => Err(Objection::Skip("aliases have no claims yet")),
    }
}

async fn unusual_names(bench: &Bench<'_>) -> Checked {
    let names = [
        "a b.txt",
        "a+b.txt",
        "a%20b.txt",
        "a%2Fb.txt",
        "a/b.txt",
        "a#b.txt",
        "a?b.txt",
        "a&b=c.txt",
        "100%.txt",
        "löwe-狮子.txt",
        "a\"b.txt",
        "a\\b.txt",
        "a;b.txt",
        "..a.txt",
        "%2e%2e.txt",
        "a:b@c.txt",
        "{a}|^`.txt",
    ];
    let mut receipts = Vec::new();
    for name in names {
        receipts.push((name, bench.upload(name, name.to_owned()).await?));
    }
    let urls: HashSet<&str> = receipts.iter().map(|(_, receipt)| receipt.url.as_str()).collect();
    ensure(urls.len() == names.len(), || format!("{} names have {} URLs", names.len(), urls.len()))?;
    for (name, receipt) in &receipts {
        bench.expect_bytes(receipt, name.as_bytes()).await?;
    }
    Ok(())
}

async fn replacing_is_as_declared(bench: &Bench<'_>) -> Checked {
    let old = bench.upload("again.txt", &b"old"[..]).await?;
    let new = bench.upload("again.txt", &b"new content"[..]).await?;
    match bench.capabilities().replacing {
        Replacing::Overwrites => {
            ensure(old.url == new.url, || format!("{} became {}", old.url, new.url))?;
            bench.expect_bytes(&old, b"new content").await
        }
        Replacing::NewHandle => {
            ensure(old.url != new.url, || format!("both are {}", old.url))?;
            bench.expect_bytes(&old, b"old").await?;
            bench.expect_bytes(&new, b"new content").await
        }
    }
}

async fn urls_are_usable(bench: &Bench<'_>) -> Checked {
    if bench.capabilities().handle == HandleKind::OpaqueId {
        return Err(Objection::Skip("its handles are no URLs"));
    }
    let url = bench.upload("usable.txt", &b"x"[..]).await?.url;
    ensure(url::Url::parse(&url).is_ok(), || format!("{url:?} is no absolute URL"))?;
    ensure(url.bytes().all(|byte| byte.is_ascii_graphic()), || format!("{url:?} can't be printed"))?;
    let bytes_max = bench.capabilities().max_url_bytes;
    ensure(url.len() <= bytes_max, || format!("a URL of {} bytes, {bytes_max} are allowed", url.len()))
}

async fn expiry_is_as_declared(bench: &Bench<'_>) -> Checked {
    let expires_at = bench.upload("expiring.txt", &b"x"[..]).await?.expires_at;
    match bench.capabilities().expiry {
        Expiry::Fixed => {
            ensure(expires_at.is_none(), || format!("it is fixed, and yet a receipt says {expires_at:?}"))
        }
        Expiry::Requested | Expiry::Reported | Expiry::Signed => {
            ensure(expires_at.is_some(), || "the receipt does not say it".to_owned())
        }
    }
}

async fn uploads_at_once(bench: &Bench<'_>) -> Checked {
    let names: Vec<String> = (0..24).map(|number| format!("at-once-{number}.txt")).collect();
    let uploads = names.iter().map(|name| bench.upload(name, name.clone()));
    for (name, receipt) in names.iter().zip(futures_util::future::join_all(uploads).await) {
        bench.expect_bytes(&receipt?, name.as_bytes()).await?;
    }
    Ok(())
}

async fn list_is_as_declared(bench: &Bench<'_>) -> Checked {
    if !bench.capabilities().can_list {
        let refused = bench.provider.list(None).await.is_err();
        return ensure(refused, || "it can't list, and yet it does".to_owned());
    }
    let mut receipts = Vec::new();
    for number in 0..25 {
        receipts.push(bench.upload(&format!("listed/{number}.txt"), vec![1; number + 1]).await?);
    }
    let listed = list_all(&*bench.provider, PAGES_MAX).await?;
    for (number, receipt) in receipts.iter().enumerate() {
        let Some(found) = listed.iter().find(|found| found.id == receipt.id) else {
            return Err(Objection::Broken(format!("{:?} is not on it", receipt.id)));
        };
        let right = found.size.is_none_or(|size| usize::try_from(size) == Ok(number + 1));
        ensure(right, || format!("{:?} has {} bytes, it says {:?}", receipt.id, number + 1, found.size))?;
    }
    Ok(())
}

async fn find_is_as_declared(bench: &Bench<'_>) -> Checked {
    let receipt = bench.upload("found.txt", &b"twelve bytes"[..]).await?;
    if !bench.capabilities().can_find {
        let refused = bench.provider.find(&receipt.id).await.is_err();
        return ensure(refused, || "it can't look up media, and yet it does".to_owned());
    }
    let found = bench.provider.find(&receipt.id).await?;
    let right = found
        .as_ref()
        .is_some_and(|found| found.id == receipt.id && found.size.is_none_or(|size| size == 12));
    ensure(right, || format!("{:?} was uploaded, and it finds {found:?}", receipt.id))?;
    let nowhere =
        MediaId::new(&format!("{}-nowhere.txt", bench.folder)).map_err(|_| Objection::Skip("no ID"))?;
    let found = bench.provider.find(&nowhere).await?;
    ensure(found.is_none(), || format!("{nowhere:?} was never uploaded, and it finds {found:?}"))
}

async fn delete_is_as_declared(bench: &Bench<'_>) -> Checked {
    let kept = bench.upload("kept.txt", &b"kept"[..]).await?;
    let receipt = bench.upload("deleted.txt", &b"deleted"[..]).await?;
    let outcome = bench.provider.delete(&receipt.id).await;
    if !bench.capabilities().can_delete {
        ensure(outcome.is_err(), || "it can't delete media, and yet it does".to_owned())?;
        return bench.expect_bytes(&receipt, b"deleted").await;
    }
    outcome?;
    bench.provider.delete(&receipt.id).await?;
    let gone = bench.subject.fetch(&receipt).await;
    ensure(!matches!(gone, Fetched::Bytes(_)), || format!("{} is still there", receipt.url))?;
    bench.expect_bytes(&kept, b"kept").await
}
