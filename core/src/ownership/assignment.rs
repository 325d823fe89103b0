//! Who should drive what, computed by everybody alike from the same list of members.

use super::Peer;
use crate::{MemberId, ShardId};

/// Assigns `shards` shards to those of `peers` (sorted by id, distinct) that take any: by highest random weight, but
/// nobody gets more than an even share rounded up, so that few shards are spread evenly too. Few move when the members
/// change. Who is unfit for a shard gets it only where everybody is; then a share may be exceeded rather than a shard
/// be left with nobody.
pub(super) fn assign(peers: &[Peer], shards: u16) -> Vec<Option<&Peer>> {
    let candidates: Vec<&Peer> = peers.iter().filter(|peer| !peer.leaving).collect();
    let share = usize::from(shards).div_ceil(candidates.len().max(1));
    let mut load = vec![0; candidates.len()];
    let choose = |number: u16| {
        let shard = ShardId::new(number).ok()?;
        let fit = |ix: &usize| !candidates[*ix].unfit.contains(&shard);
        let heaviest =
            |among: &mut dyn Iterator<Item = usize>| among.max_by_key(|ix| weight(&candidates[*ix].id, number));
        let all = || 0..candidates.len();
        let chosen = heaviest(&mut all().filter(|ix| load[*ix] < share && fit(ix)))
            .or_else(|| heaviest(&mut all().filter(fit)))
            .or_else(|| heaviest(&mut all().filter(|ix| load[*ix] < share)))
            .or_else(|| heaviest(&mut all()))?;
        load[chosen] += 1;
        Some(candidates[chosen])
    };
    (0..shards).map(choose).collect()
}

fn weight(member: &MemberId, shard: u16) -> u64 {
    // FNV-1a over both, then the finalizer of MurmurHash3 so that neighbouring shards get unrelated weights.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in member.as_str().bytes().chain(shard.to_be_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn members(count: usize) -> Vec<Peer> {
        let peer = |n| Peer {
            id: format!("m{n}").parse().unwrap(),
            incarnation: "1".to_owned(),
            leaving: false,
            unfit: BTreeSet::new(),
        };
        (0..count).map(peer).collect()
    }

    fn assigned(members: &[Peer], shards: u16) -> Vec<MemberId> {
        assign(members, shards).into_iter().map(|peer| peer.unwrap().id.clone()).collect()
    }

    #[test]
    fn every_shard_has_a_member_and_nobody_more_than_an_even_share() {
        for count in 1..7 {
            for shards in [1, 2, 4, 8, 63, 256] {
                let members = members(count);
                let all = assigned(&members, shards);
                for member in &members {
                    let load = all.iter().filter(|id| **id == member.id).count();
                    assert!(load <= usize::from(shards).div_ceil(count), "{count} members, {shards} shards");
                }
            }
        }
        assert_eq!(assign(&[], 3), [None, None, None]);
        let leaving = Peer { leaving: true, ..members(1).remove(0) };
        assert_eq!(assign(&[leaving], 1), [None]);
    }

    #[test]
    fn most_shards_stay_where_they_are_when_a_member_joins() {
        let (before, after) = (assigned(&members(3), 256), assigned(&members(4), 256));
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert!(moved < 256 / 2, "{moved} of 256 moved");
    }

    #[test]
    fn a_shard_goes_to_who_is_fit_for_it_if_anybody_is() {
        let shard = ShardId::new(0).unwrap();
        let mut members = members(3);
        let first = assigned(&members, 1)[0].clone();
        let unfit = |members: &mut [Peer], id: &MemberId| {
            members.iter_mut().find(|peer| peer.id == *id).unwrap().unfit.insert(shard);
        };
        unfit(&mut members, &first);
        let second = assigned(&members, 1)[0].clone();
        assert_ne!(second, first);
        unfit(&mut members, &second);
        let third = assigned(&members, 1)[0].clone();
        assert!(third != first && third != second);
        unfit(&mut members, &third);
        assert_eq!(assigned(&members, 1)[0], first, "somebody drives it all the same");
    }
}
