package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"sekisho/transfer/approval"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// approvalStores are the folders of approvals: that of the key in use, then those
// of earlier key sets. What an earlier key approved holds until it ends or is
// revoked, or until its key set is retired: then the folder is not looked at.
type approvalStores []approval.Store

// keyFolder is how much of a key's ID names the folder of what it approved.
const keyFolder = 16

func (m *machine) approvalStore() (approvalStores, error) {
	keys, earlier, err := m.history()
	if err != nil {
		return nil, err
	}
	sets := []*manifest.KeySet{keys}
	for _, s := range earlier {
		if !s.retired {
			sets = append(sets, s.keys)
		}
	}
	var stores approvalStores
	for _, set := range sets {
		key, err := seal.ParsePublicKey([]byte(set.Approvals))
		if err != nil {
			return nil, fmt.Errorf("the approvals key: %w", err)
		}
		store := approval.Store{Dir: m.Path(approvalsDir, key.KeyID()[:keyFolder]), Keys: []*seal.PublicKey{key}}
		if !slices.ContainsFunc(stores, func(s approval.Store) bool { return s.Dir == store.Dir }) { // most rotations leave this key
			stores = append(stores, store)
		}
	}
	return stores, nil
}

// List lists what holds or will, and what ended, as approval.Store does.
func (a approvalStores) List() (all []*approval.Approval, err error) {
	for _, s := range a {
		more, err := s.List()
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// Revoked lists what was revoked.
func (a approvalStores) Revoked() (all []approval.Revocation, err error) {
	for _, s := range a {
		more, err := s.Revoked()
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// Revoke revokes the approval of this id, whose revocation record keeps before.
// approval.ErrNone means that there is none.
func (a approvalStores) Revoke(id, by, reason string, record func() error) error {
	for _, s := range a {
		err := s.Revocable(id)
		if errors.Is(err, approval.ErrNone) {
			continue
		}
		if err != nil {
			return err
		}
		if err := record(); err != nil {
			return err
		}
		return s.Revoke(id, by, reason, time.Now())
	}
	return fmt.Errorf("approval %q: %w", id, approval.ErrNone)
}
