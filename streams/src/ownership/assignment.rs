//! Who should drive what, computed by everybody alike from the same list of members.

use headwater_core::MemberId;

/// Assigns `shards` shards to `members` (sorted, distinct): by highest random weight, but nobody gets more than an even
/// share rounded up, so that few shards are spread evenly too. Few move when the members change.
pub(super) fn assign(members: &[&MemberId], shards: u16) -> Vec<Option<usize>> {
    if members.is_empty() {
        return vec![None; usize::from(shards)];
    }
    let share = usize::from(shards).div_ceil(members.len());
    let mut load = vec![0; members.len()];
    let choose = |shard: u16| {
        let open = (0..members.len()).filter(|ix| load[*ix] < share);
        let chosen = open.max_by_key(|ix| weight(members[*ix], shard));
        if let Some(ix) = chosen {
            load[ix] += 1;
        }
        chosen
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
    use super::*;

    fn members(count: usize) -> Vec<MemberId> {
        (0..count).map(|n| format!("m{n}").parse().unwrap()).collect()
    }

    fn assigned(members: &[MemberId], shards: u16) -> Vec<MemberId> {
        let members: Vec<&MemberId> = members.iter().collect();
        assign(&members, shards).into_iter().map(|ix| members[ix.unwrap()].clone()).collect()
    }

    #[test]
    fn every_shard_has_a_member_and_nobody_more_than_an_even_share() {
        for count in 1..7 {
            for shards in [1, 2, 4, 8, 63, 256] {
                let members = members(count);
                let all = assigned(&members, shards);
                for member in &members {
                    let load = all.iter().filter(|m| *m == member).count();
                    assert!(load <= usize::from(shards).div_ceil(count), "{count} members, {shards} shards");
                }
            }
        }
        assert_eq!(assign(&[], 3), [None, None, None]);
    }

    #[test]
    fn most_shards_stay_where_they_are_when_a_member_joins() {
        let (before, after) = (assigned(&members(3), 256), assigned(&members(4), 256));
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
        assert!(moved < 256 / 2, "{moved} of 256 moved");
    }
}
