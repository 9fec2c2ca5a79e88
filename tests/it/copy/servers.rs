//! Copies between object stores of different kinds, each a server of its own.

use super::*;
use crate::servers::Server;

const SERVERS: [Server; 3] = [Server::S3, Server::Gcs, Server::Azure];

#[tokio::test(flavor = "multi_thread")]
async fn every_value_goes_from_server_to_server() {
    let here = memory().await;
    let mut originals = Vec::new();
    for (number, (serializer, value)) in values().into_iter().enumerate() {
        let reference = here.put(format!("ż %/{number}"), value.clone()).serializer(serializer).await.unwrap();
        originals.push((reference, value));
    }
    let parts = here.put("parts", parted()).serializer("arrow").await.unwrap();
    originals.push((parts.clone(), here.get(&parts).await.unwrap()));
    let mut from = here.clone();
    for server in SERVERS {
        let Some(there) = server.store().await else { continue };
        for (original, value) in &originals {
            let copied = from.copy(original.key(), &there).await.unwrap();
            assert!(!copied.already_there, "{server:?}");
            assert!(same(&there.get(&copied.reference.compact()).await.unwrap(), value), "{server:?}, {original}");
            // Known again from the first store, whichever way it came.
            assert!(here.copy(original, &there).await.unwrap().already_there, "{server:?}");
        }
        assert_whole(&there).await;
        from = there;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_copies_to_a_server_one_is_made() {
    for server in SERVERS {
        let Some(there) = server.store().await else { continue };
        let here = memory().await;
        here.put("k", small()).await.unwrap();
        let copies: Vec<_> = (0..8).map(|_| tokio::spawn(here.copy("k", &there).into_future())).collect();
        let mut made = 0;
        for copy in copies {
            made += usize::from(!copy.await.unwrap().unwrap().already_there);
        }
        assert_eq!((made, live(&there, "k").await), (1, vec![1]), "{server:?}");
        assert_whole(&there).await;
    }
}
