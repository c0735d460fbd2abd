package transfer

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

// The recovery key lies in two envelopes, and nobody would notice for years that
// it does not open what it should. So, once a month, the headers of what came
// since go to an offline machine ([ExportHeaders]), where the key from an
// envelope opens each ([TryRecovery]) and leaves a proof, which the gate can
// compute too because its own key opens the same ([RecordRecovery]). Headers hold
// no content; the proofs do not give away the keys that they prove.

// RecoveryExport is what headers are exported with.
type RecoveryExport struct {
	Gate    string
	Vault   *vault.Vault
	KeySets []*manifest.KeySet // of this gate, in use and earlier: they name the recovery key of a generation
	Checked func(generation string) bool
}

// RecoveryCount is what a step of a check dealt with.
type RecoveryCount struct {
	Generations int
	Headers     int
	Failed      int           // headers that did not open
	Skipped     int           // generations that were made for another recovery key
	Proof       manifest.Hash // of everything that was opened
}

// ExportHeaders writes the headers of every generation that was not checked yet,
// oldest first, in memory of one header.
func ExportHeaders(ctx context.Context, x RecoveryExport, w io.Writer) (RecoveryCount, error) {
	all, err := x.Vault.Generations()
	if err != nil {
		return RecoveryCount{}, err
	}
	recipients := make(map[manifest.Hash]manifest.Hash) // by the digest of their key set
	for _, keys := range x.KeySets {
		digest, err := keys.Digest()
		if err != nil {
			return RecoveryCount{}, err
		}
		recipients[digest] = RecipientDigest(keys.Recovery)
	}
	out := newLineWriter(w)
	out.line(checkHead{headersFormat, x.Gate, time.Now().UTC().Truncate(time.Second)})
	var n RecoveryCount
	for _, g := range all {
		if ctx.Err() != nil {
			return RecoveryCount{}, ctx.Err()
		}
		if x.Checked(g.ID) {
			continue
		}
		bag := x.Vault.Bag(g.ID)
		keys, err := madeFor(bag)
		if err != nil {
			return RecoveryCount{}, refuse(VaultDamaged, g.ID, err)
		}
		recovery, known := recipients[keys]
		if !known {
			return RecoveryCount{}, refusef(VaultDamaged, g.ID, "it was made for the key set %s, which this gate does not have", keys)
		}
		names, err := encrypted(bag)
		if err != nil {
			return RecoveryCount{}, refuse(VaultDamaged, g.ID, err)
		}
		out.line(headersOf{g.ID, recovery, len(names)})
		for _, name := range names {
			header, err := header(bag, name)
			if err != nil {
				return RecoveryCount{}, refuse(VaultDamaged, g.ID, err)
			}
			out.line(headerLine{name, sha256.Sum256(header), string(header)})
		}
		n.Generations, n.Headers = n.Generations+1, n.Headers+len(names)
	}
	out.line(headersEnd{"headers", n.Generations, n.Headers})
	return n, out.flush()
}

// RecipientDigest identifies an age recipient, whose text has 2,000 characters.
func RecipientDigest(recipient string) manifest.Hash { return sha256.Sum256([]byte(recipient)) }

// madeFor reads from a bag's statement which key set it was made for. It does not
// open the seal: it only says which envelope to fetch, and what then does not open
// is found.
func madeFor(bag string) (manifest.Hash, error) {
	data, err := os.ReadFile(filepath.Join(bag, manifest.SealDir, manifest.Envelope))
	if err != nil {
		return manifest.Hash{}, err
	}
	var envelope struct{ Payload []byte }
	if err := json.Unmarshal(data, &envelope); err != nil {
		return manifest.Hash{}, errors.New("its statement cannot be read")
	}
	st, err := manifest.ParseStatement(envelope.Payload)
	if err != nil {
		return manifest.Hash{}, err
	}
	return st.GateKeys, nil
}

// encrypted lists what is encrypted in a bag, in one order.
func encrypted(bag string) ([]string, error) {
	var names []string
	for _, name := range manifest.TagFiles {
		if strings.HasSuffix(name, ".age") {
			names = append(names, name)
		}
	}
	parts, err := os.ReadDir(filepath.Join(bag, manifest.Data))
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		names = append(names, manifest.Data+"/"+p.Name())
	}
	slices.Sort(names)
	if !validObjects(names) {
		return nil, errors.New("it holds what is no object of a bag")
	}
	return names, nil
}

// header reads the header of one encrypted object, and not a byte more of it.
func header(bag, name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(bag, name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := age.ExtractHeader(io.LimitReader(f, maxHeader))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

// prove opens a header and returns what only someone who opened it can know.
func (i Identity) prove(header []byte) (manifest.Hash, error) {
	key, err := age.DecryptHeader(header, i)
	if err != nil {
		return manifest.Hash{}, err
	}
	digest := sha256.Sum256(header)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("sekisho-recovery-v1\x00"))
	mac.Write(digest[:])
	return manifest.Hash(mac.Sum(nil)), nil
}

// fold is one digest of many.
type fold struct{ hash.Hash }

func newFold() fold { return fold{sha256.New()} }

func (f fold) add(h manifest.Hash)    { f.Write(h[:]) }
func (f fold) sum() (h manifest.Hash) { return manifest.Hash(f.Sum(nil)) }
