//! Many copies at once: one of them becomes a version, and the others find it.

use super::*;
use crate::faulty::{Fault, Request};
use crate::support::local_in;

const COPIES: usize = 8;

/// Two stores on the same storage: one pair in memory, one in a folder.
async fn pairs() -> (tempfile::TempDir, [[ResultStore; 2]; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let memory = Arc::new(InMemory::new());
    let clock = || Arc::new(TestClock::default());
    let in_memory = [store_on(memory.clone(), clock()).await, store_on(memory, clock()).await];
    let on_disk = [local_in(folder.path()).await, local_in(folder.path()).await];
    (folder, [in_memory, on_disk])
}

async fn all(tasks: Vec<tokio::task::JoinHandle<coldframe::Result<Copied>>>) -> Vec<Copied> {
    let mut copied = Vec::new();
    for task in tasks {
        copied.push(task.await.unwrap().unwrap());
    }
    copied
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_copies_of_one_version_one_is_made_and_all_get_it() {
    let (_folder, pairs) = pairs().await;
    for there in pairs {
        let here = memory().await;
        for round in 1..=5 {
            here.put("k", numbers(1000 + round)).await.unwrap();
            let copies = (0..COPIES).map(|number| tokio::spawn(here.copy("k", &there[number % 2]).into_future()));
            let copied = all(copies.collect()).await;
            assert_eq!(copied.iter().filter(|copied| !copied.already_there).count(), 1);
            assert!(copied.iter().all(|one| one.reference == copied[0].reference), "{copied:?}");
            assert_eq!(live(&there[0], "k").await, (1..=round as u64).rev().collect::<Vec<_>>());
            assert_eq!(table(&there[1], "k").await, numbers(1000 + round));
            there[0].settled().await;
            assert_whole(&there[1]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_racing_with_puts_lose_nothing_and_are_made_once() {
    let (_folder, pairs) = pairs().await;
    for there in pairs {
        let here = memory().await;
        here.put("k", small()).await.unwrap();
        let copies = (0..COPIES).map(|number| tokio::spawn(here.copy("k", &there[number % 2]).into_future()));
        let copies: Vec<_> = copies.collect();
        let puts = (0..COPIES).map(|number| tokio::spawn(there[number % 2].put("k", numbers(number)).into_future()));
        for put in puts.collect::<Vec<_>>() {
            put.await.unwrap().unwrap();
        }
        let copied = all(copies).await;
        assert_eq!(copied.iter().filter(|copied| !copied.already_there).count(), 1);
        assert_eq!(live(&there[0], "k").await.len(), COPIES + 1);
        let found = there[0].get(&copied[0].reference.compact()).await.unwrap();
        assert_eq!(found.into_table().unwrap().to_batch().unwrap(), small());
        there[0].settled().await;
        assert_whole(&there[1]).await;
    }
}

#[tokio::test]
async fn a_copy_that_comes_second_finds_the_first_and_removes_its_own_data() {
    let here = memory().await;
    here.put("k", small()).expires_in(HOUR).await.unwrap();
    let targets = Faulty::new();
    let there = targets.store(TestClock::default()).await;
    // Its data is there, and its commit on its way, when the other one is made.
    targets.on(1, Fault::Block, Request::is_commit);
    let second = tokio::spawn(here.copy("k", &there).into_future());
    targets.blocked(1).await;
    let first = here.copy("k", &targets.sound().await).await.unwrap();
    targets.release();
    let second = second.await.unwrap().unwrap();
    assert!(!first.already_there && second.already_there);
    assert_eq!(second.reference.write(), first.reference.write());
    assert_eq!(live(&there, "k").await, [1]);
    let left = targets.leftovers().await;
    let (due, _) = targets.find("due/", ".json").await;
    assert_eq!(left, [first.reference.written().unwrap().parts[0].path.clone(), due.to_string()]);
    assert!(due.as_ref().contains(&first.reference.write().to_string()));
    assert_eq!(table(&there, "k").await, small());
}

#[tokio::test]
async fn a_copy_that_loses_its_number_to_another_result_takes_the_next() {
    let here = memory().await;
    here.put("k", small()).await.unwrap();
    let targets = Faulty::new();
    let there = targets.store(TestClock::default()).await;
    targets.on(1, Fault::Block, Request::is_commit);
    let copy = tokio::spawn(here.copy("k", &there).into_future());
    targets.blocked(1).await;
    targets.sound().await.put("k", numbers(2)).await.unwrap();
    targets.release();
    let copied = copy.await.unwrap().unwrap();
    assert_eq!((copied.already_there, copied.reference.version().get()), (false, 2));
    assert_eq!(table(&there, "k@2").await, small());
    assert_whole(&there).await;
}
