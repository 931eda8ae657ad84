//! Test profiles.

use super::{ANNA, BEN, CatalogFixture, at};
use crate::StoreError;
use crate::contract::catalog::id;
use crate::profiles::NewProfile;
use domain::{Draft, ProfileId, ProfileSpec};
use serde_json::json;

/// A profile of this name with a public and a secret variable.
pub fn profile(name: &str) -> NewProfile {
    let spec = ProfileSpec::parse(&Draft(json!({"name": name, "variables": [
        {"name": "customer.name", "value": "Lena"}, {"name": "customer.pin", "secret": true}]})));
    NewProfile { spec: spec.unwrap(), secrets: Some(vec![1, 2, 3]) }
}

pub async fn profile_belongs_to_its_space(f: CatalogFixture) {
    let one = ProfileId(id(1));
    let created = f.profiles.create_profile(ANNA, one, profile("Lena"), at(1)).await.unwrap();
    let stored = f.profiles.profile(ANNA, one).await.unwrap().unwrap();
    assert_eq!((&stored.profile, &stored.secrets), (&created, &Some(vec![1, 2, 3])));
    assert_eq!(f.profiles.profile(BEN, one).await.unwrap(), None);
    assert_eq!(f.profiles.profile_revision(BEN, one, 1).await.unwrap(), None);
    assert_eq!(f.profiles.profiles(BEN).await.unwrap(), []);
    let theirs = f.profiles.update_profile(BEN, one, 1, profile("Mine"), at(2)).await.unwrap();
    assert_eq!(theirs, None);
    assert!(!f.profiles.delete_profile(BEN, one, at(2)).await.unwrap());
    assert_eq!(f.profiles.profiles(ANNA).await.unwrap(), [created]);
}

pub async fn profile_update_creates_a_revision_and_deletion_keeps_all(f: CatalogFixture) {
    let one = ProfileId(id(1));
    f.profiles.create_profile(ANNA, one, profile("Lena"), at(1)).await.unwrap();
    let changed = NewProfile { secrets: None, ..profile("Mia") };
    let saved = f.profiles.update_profile(ANNA, one, 1, changed, at(2)).await.unwrap().unwrap();
    assert_eq!((saved.revision, saved.spec.name.as_str()), (2, "Mia"));
    let stale = f.profiles.update_profile(ANNA, one, 1, profile("Old"), at(3)).await;
    assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
    assert!(f.profiles.delete_profile(ANNA, one, at(4)).await.unwrap());
    assert_eq!(f.profiles.profile(ANNA, one).await.unwrap(), None);
    assert_eq!(f.profiles.profiles(ANNA).await.unwrap(), []);
    let first = f.profiles.profile_revision(ANNA, one, 1).await.unwrap().unwrap();
    assert_eq!((first.profile.spec.name.as_str(), first.secrets), ("Lena", Some(vec![1, 2, 3])));
    let second = f.profiles.profile_revision(ANNA, one, 2).await.unwrap().unwrap();
    assert_eq!((second.profile, second.secrets), (saved, None));
    assert_eq!(f.profiles.profile_revision(ANNA, one, 3).await.unwrap(), None);
}

pub async fn number_of_profiles_is_limited(f: CatalogFixture) {
    for n in 0..u128::from(domain::limits::PROFILES_PER_USER) {
        f.profiles.create_profile(ANNA, ProfileId(id(n)), profile("P"), at(1)).await.unwrap();
    }
    let more = f.profiles.create_profile(ANNA, ProfileId(id(900)), profile("P"), at(1)).await;
    assert!(matches!(more, Err(StoreError::QuotaExceeded { max: 100, .. })), "{more:?}");
    f.profiles.create_profile(BEN, ProfileId(id(901)), profile("P"), at(1)).await.unwrap();
}
