package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
	"sekisho/transfer/seal"
	"sekisho/transfer/vault"
)

// Restoration is what files are given back with.
type Restoration struct {
	Vault    *vault.Vault
	Kiosks   []*seal.Kiosk // enrolled
	Retired  []Retired     // what they sealed while they were enrolled is still good
	Identity Identity      // the gate's key or the recovery key
	Ledger   *ledger.Log
	Staff    string
	Watcher  Watcher
}

// ErrNotEmpty: files are only restored into a folder that holds nothing, so that
// nothing is ever overwritten or mixed.
var ErrNotEmpty = errors.New("the folder is not empty")

// Restore gives the files of a generation back into dir, which must be empty or
// absent: names, contents, times and empty folders. The seal is opened again and
// every hash checked. When it returns nil everything is on disk; after an error
// what lies in dir is not the whole generation. The error is a *Refusal,
// ErrNotEmpty or the context's.
func Restore(ctx context.Context, r Restoration, generation, dir string) (*manifest.Statement, error) {
	st, err := r.restore(ctx, generation, dir)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if errors.Is(err, ErrNotEmpty) || errors.Is(err, vault.ErrNone) {
		return nil, err
	}
	record := ledger.Record{Event: ledger.Restore, By: r.Staff, Transfer: generation, Result: "restored"}
	if err != nil {
		refusal := AsRefusal(explain(err, Failed), Failed)
		record.Result, record.Reason = "trouble", string(refusal.Reason)
		err = refusal
	}
	if _, lerr := r.Ledger.Append(record); lerr != nil {
		return nil, errors.Join(err, refuse(Failed, "ledger", lerr))
	}
	return st, err
}

func (r *Restoration) restore(ctx context.Context, generation, dir string) (*manifest.Statement, error) {
	g, err := r.Vault.Generation(generation)
	if err != nil {
		return nil, err
	}
	bag := r.Vault.Bag(g.ID)
	st, err := r.open(bag)
	if err != nil {
		return nil, err
	}
	if st.Transfer != g.Transfer {
		return nil, refusef(Altered, g.ID, "the bag of transfer %s lies there", st.Transfer)
	}
	root, err := emptyFolder(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	parts, err := checkTags(bag, st)
	if err != nil {
		return nil, err
	}
	if err := enough(dir, g.Bytes); err != nil {
		return nil, err
	}
	index, f, err := r.Identity.openIndex(bag, st.Transfer)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := &folder{root: root, ctx: ctx, watcher: r.Watcher, total: g}
	err = unpack(index, len(parts), func(n int) (io.ReadCloser, error) {
		name := filepath.Join(bag, manifest.PartName(n))
		if err := checkFile(name, st.Sizes.Parts[n-1], parts[n-1]); err != nil {
			return nil, err
		}
		return r.Identity.open(name)
	}, out.each)
	if err != nil {
		return nil, err
	}
	return st, out.finish()
}

// open opens the seal of a bag in the vault, by the enrolment that it was sealed
// under: a key may have been enrolled again since, or retired.
func (r *Restoration) open(bag string) (*manifest.Statement, error) {
	files := make(map[string][]byte)
	for _, name := range append(slices.Collect(maps.Keys(seal.Evidence{}.Files())), manifest.Envelope) {
		data, err := os.ReadFile(filepath.Join(bag, manifest.SealDir, name))
		if err != nil {
			return nil, refuse(MissingPart, name, err)
		}
		files[name] = data
	}
	st, err := openKept(bag, files, r.Kiosks)
	for _, retired := range r.Retired {
		if err == nil {
			break
		}
		if old, oerr := openKept(bag, files, []*seal.Kiosk{retired.Kiosk}); oerr == nil || AsRefusal(err, Failed).Reason == UnknownKiosk {
			st, err = old, oerr
		}
	}
	return st, err
}

// openKept opens the seal of a bag in the vault by one of the kiosks.
func openKept(bag string, files map[string][]byte, kiosks []*seal.Kiosk) (*manifest.Statement, error) {
	text, by, err := openFiles(files, kiosks)
	if errors.Is(err, seal.ErrUnknownKiosk) {
		return nil, refuse(UnknownKiosk, bag, err)
	}
	if err != nil {
		return nil, refuse(BadSeal, bag, err)
	}
	st, err := manifest.ParseStatement(text)
	if err != nil {
		return nil, malformedIn("statement", err)
	}
	if err := sealedBy(st, by); err != nil {
		return nil, err
	}
	return st, nil
}

// checkTags checks every tag file of a bag on disk and returns the parts' hashes.
func checkTags(bag string, st *manifest.Statement) ([]manifest.Hash, error) {
	list, err := checkedFile(filepath.Join(bag, manifest.TagManifest), st.Sizes.TagManifest, st.Payload)
	if err != nil {
		return nil, err
	}
	sums, err := manifest.ParseSums(list, manifest.TagFiles)
	if err != nil {
		return nil, malformedIn(manifest.TagManifest, err)
	}
	var parts []manifest.Hash
	for i, t := range st.Sizes.Tags {
		name := filepath.Join(bag, t.Name)
		if t.Name != manifest.Manifest {
			if err := checkFile(name, t.Bytes, sums[i]); err != nil {
				return nil, err
			}
			continue
		}
		data, err := checkedFile(name, t.Bytes, sums[i])
		if err != nil {
			return nil, err
		}
		if parts, err = manifest.ParseSums(data, manifest.PartNames(len(st.Sizes.Parts))); err != nil {
			return nil, malformedIn(manifest.Manifest, err)
		}
	}
	return parts, nil
}

func checkedFile(name string, size int64, sum manifest.Hash) ([]byte, error) {
	if err := checkFile(name, size, sum); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

func checkFile(name string, size int64, sum manifest.Hash) error {
	f, err := os.Open(name)
	if err != nil {
		return refuse(MissingPart, name, err)
	}
	defer f.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, f)
	if err != nil {
		return refuse(ReadFailed, name, err)
	}
	if n != size || manifest.Hash(hash.Sum(nil)) != sum {
		return refusef(Altered, name, "it is not what was sealed")
	}
	return nil
}
