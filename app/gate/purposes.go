package main

import (
	"crypto/sha256"
	"encoding/hex"

	"sekisho/app/console"
	"sekisho/transfer"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
)

// purpose is what one key of the gate is for.
type purpose struct {
	name string
	file string // in the state folder; "" for a key that is kept offline
	of   func(*manifest.KeySet) *string
}

// purposes are those of all keys, in the order in which they are made and shown.
var purposes = []purpose{
	{"recovery", "", func(k *manifest.KeySet) *string { return &k.Recovery }},
	{"encryption", identityFile, func(k *manifest.KeySet) *string { return &k.Encryption }},
	{"receipts", receiptsKey, func(k *manifest.KeySet) *string { return &k.Receipts }},
	{"ledger", ledgerKey, func(k *manifest.KeySet) *string { return &k.Ledger }},
	{"reports", reportsKey, func(k *manifest.KeySet) *string { return &k.Reports }},
	{"approvals", "", func(k *manifest.KeySet) *string { return &k.Approvals }},
	{"definitions", "", func(k *manifest.KeySet) *string { return &k.Definitions }},
}

func purposeOf(name string) (purpose, bool) {
	for _, p := range purposes {
		if p.name == name {
			return p, true
		}
	}
	return purpose{}, false
}

// encrypts says whether it is a key of age; the others sign.
func (p purpose) encrypts() bool { return p.name == "recovery" || p.name == "encryption" }

// keyID is a short name of the public half, the same wherever it is shown.
func (p purpose) keyID(keys *manifest.KeySet) (string, error) {
	text := *p.of(keys)
	if p.encrypts() {
		return console.KeyID(transfer.RecipientDigest(text)), nil
	}
	public, err := seal.ParsePublicKey([]byte(text))
	if err != nil {
		return "", err
	}
	var digest [sha256.Size]byte
	_, err = hex.Decode(digest[:], []byte(public.KeyID()))
	return console.KeyID(digest), err
}
