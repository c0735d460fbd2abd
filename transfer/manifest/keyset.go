package manifest

import (
	"bytes"
	"crypto/sha256"
	"strings"
)

// KeySet is what a kiosk must know of its gate. The kiosk pins it when it is
// enrolled, and every statement names its digest.
type KeySet struct {
	Format      string `json:"format"`      // "sekisho-keys/1"
	Gate        string `json:"gate"`        // the gate's name
	Encryption  string `json:"encryption"`  // age recipient of the gate, hybrid
	Recovery    string `json:"recovery"`    // age recipient of the offline recovery key, hybrid
	Receipts    string `json:"receipts"`    // key of the receipts' signatures; this and those below: PKIX PEM
	Ledger      string `json:"ledger"`      // key of the gate's checkpoints
	Approvals   string `json:"approvals"`   // IT's offline key: which states of a kiosk are approved
	Definitions string `json:"definitions"` // IT's offline key: bundles of definitions and rules
	Reports     string `json:"reports"`     // key of the gate's reports
}

// signing lists the keys that sign, one for each purpose.
func (k *KeySet) signing() [5]string {
	return [...]string{k.Receipts, k.Ledger, k.Approvals, k.Definitions, k.Reports}
}

const (
	keySetFormat = "sekisho-keys/1"
	maxKeySet    = 16 << 10

	recipientPrefix = "age1pq1" // of the hybrid post-quantum type
	maxRecipient    = 4 << 10   // bytes; one has 1,959
	maxPEM          = 1 << 10   // bytes; one of P-256 has 178
)

// Marshal gives the key set's canonical form, ending in a line feed.
func (k *KeySet) Marshal() ([]byte, error) {
	set := *k // which others may be using
	set.Format = keySetFormat
	if err := set.check(); err != nil {
		return nil, err
	}
	data, err := marshal(&set)
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// ParseKeySet reads a key set. Whether its keys are good is for their packages.
func ParseKeySet(data []byte) (*KeySet, error) {
	if len(data) > maxKeySet {
		return nil, malformed("a key set of %d bytes", len(data))
	}
	body, ended := bytes.CutSuffix(data, []byte("\n"))
	k := new(KeySet)
	if err := parse(body, k); err != nil {
		return nil, err
	}
	if !ended {
		return nil, malformed("a key set without its last line feed")
	}
	if err := k.check(); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *KeySet) check() error {
	switch {
	case k.Format != keySetFormat || !ValidName(k.Gate):
		return malformed("not the key set of a gate")
	case !validRecipient(k.Encryption), !validRecipient(k.Recovery):
		return malformed("a recipient that is no hybrid one of age")
	case k.Encryption == k.Recovery:
		return malformed("one key for encryption and recovery")
	}
	seen := make(map[string]bool)
	for _, key := range k.signing() {
		switch {
		case !validLines(key, maxPEM):
			return malformed("a key that is not PEM")
		case seen[key]:
			return malformed("one key for two purposes")
		}
		seen[key] = true
	}
	return nil
}

func validRecipient(s string) bool {
	return strings.HasPrefix(s, recipientPrefix) && validText(s, maxRecipient)
}

// Digest identifies the key set; two people compare it when a kiosk is enrolled.
func (k *KeySet) Digest() (Hash, error) {
	data, err := k.Marshal()
	if err != nil {
		return Hash{}, err
	}
	return sha256.Sum256(data), nil
}
