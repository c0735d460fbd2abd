package main

import (
	"errors"
	"testing"
	"time"

	"sekisho/transfer/approval"
	"sekisho/transfer/measure"
	"sekisho/transfer/seal"
)

// A revocation is recorded before it is made: without its record there is none, and
// after a crash between the two it is made again.
func TestRevokeIsRecordedFirst(t *testing.T) {
	var stores approvalStores
	var ids []string
	for range 2 { // a key in use, and one that was replaced
		key, err := seal.NewPrivateKey()
		if err != nil {
			t.Fatal(err)
		}
		s := approval.Store{Dir: t.TempDir(), Keys: []*seal.PublicKey{key.Public()}}
		state := approval.State{Kiosk: "k3", Software: 13, Events: &measure.List{Register: 13}, Registers: approval.Registers{7: {1}, 13: {2}}}
		envelope, a, err := approval.Sign(key, state, approval.Terms{From: time.Now(), By: "1234"})
		if err == nil {
			_, err = s.Add(envelope)
		}
		if err != nil {
			t.Fatal(err)
		}
		stores, ids = append(stores, s), append(ids, a.ID())
	}
	holding := func(want int) {
		t.Helper()
		if all, err := stores.List(); err != nil || len(all) != want {
			t.Errorf("%d approvals, %v, want %d", len(all), err, want)
		}
	}
	full := errors.New("the disk is full")
	for i, id := range ids {
		holding(2 - i)
		if err := stores.Revoke(id, "it", "", func() error { return full }); !errors.Is(err, full) {
			t.Errorf("revoked without a record: %v", err)
		}
		holding(2 - i)
		recorded := 0
		record := func() error { holding(2 - i); recorded++; return nil }
		if err := stores.Revoke(id, "it", "", record); err != nil || recorded != 1 {
			t.Errorf("%d records, %v", recorded, err)
		}
		for err, id := range map[error]string{approval.ErrRevoked: id, approval.ErrNone: "0123456789abcdef"} {
			if got := stores.Revoke(id, "it", "", record); !errors.Is(got, err) || recorded != 1 {
				t.Errorf("%s: %d records, %v, want %v", id, recorded, got, err)
			}
		}
	}
	holding(0)
	if all, err := stores.Revoked(); err != nil || len(all) != 2 {
		t.Errorf("revoked: %v, %v", all, err)
	}
}
