package transfer

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sekisho/transfer/drive"
	"sekisho/transfer/manifest"
)

// stage lists the transfer's folder, which must hold exactly what the statement
// names, and makes room for it.
func (d *delivery) stage() error {
	names, err := d.list(d.folder, maxNames)
	if err != nil {
		return unavailable(d.folder, err)
	}
	tags := append(slices.Clone(manifest.TagFiles), manifest.TagManifest)
	if err := exactly(d.folder, names, []string{manifest.Data, manifest.SealDir}, tags); err != nil {
		return err
	}
	parts := make([]string, len(d.statement.Sizes.Parts))
	for i := range parts {
		parts[i] = path.Base(manifest.PartName(i + 1))
	}
	data := path.Join(d.folder, manifest.Data)
	if names, err = d.list(data, len(parts)+maxNames); err != nil {
		return unavailable(data, err)
	}
	if err := exactly(data, names, nil, parts); err != nil {
		return err
	}
	free, err := d.Vault.Free()
	if err != nil {
		return err
	}
	if need := d.statement.Sizes.Total(); need > free {
		return refusef(NoSpace, d.Vault.Dir(), "the transfer has %d bytes, %d are free", need, free)
	}
	d.staging, err = d.Vault.Stage()
	return err
}

// readTags copies and checks the files that the seal vouches for by hash: the tag
// manifest, the files it names, and so the list of the parts.
func (d *delivery) readTags() error {
	sizes := &d.statement.Sizes
	list, err := d.read(manifest.TagManifest, sizes.TagManifest, d.statement.Payload)
	if err != nil {
		return err
	}
	if d.tags, err = manifest.ParseSums(list, manifest.TagFiles); err != nil {
		return refuse(Malformed, manifest.TagManifest, err)
	}
	for i, t := range sizes.Tags {
		if strings.HasSuffix(t.Name, ".age") {
			if err := d.copy(t.Name, t.Bytes, d.tags[i]); err != nil {
				return err
			}
			continue
		}
		data, err := d.read(t.Name, t.Bytes, d.tags[i])
		if err != nil {
			return err
		}
		if err := d.checkTag(t.Name, data); err != nil {
			return refuse(Malformed, t.Name, err)
		}
	}
	return nil
}

// checkTag holds a plain tag file against the statement; each has one valid form.
func (d *delivery) checkTag(name string, data []byte) (err error) {
	st := d.statement
	switch name {
	case manifest.Manifest:
		d.parts, err = manifest.ParseSums(data, manifest.PartNames(len(st.Sizes.Parts)))
		return err
	case manifest.BagIt:
		if string(data) != manifest.BagItText {
			return errors.New("not BagIt 1.0")
		}
	case manifest.BagInfo:
		var bytes int64
		for _, n := range st.Sizes.Parts {
			bytes += n
		}
		if want := manifest.Info(st.Transfer, st.Prepared, len(st.Sizes.Parts), bytes); string(data) != string(want) {
			return errors.New("it does not follow from the statement")
		}
	case manifest.Script:
		// Another version's script is as good: the seal vouches for it.
	}
	return nil
}

// read copies a small object into staging and returns its bytes.
func (d *delivery) read(name string, size int64, sum manifest.Hash) ([]byte, error) {
	if size > manifest.MaxTagFile {
		return nil, refusef(Malformed, name, "%d bytes", size)
	}
	data, err := d.Drive.ReadFile(path.Join(d.folder, name), size)
	if errors.Is(err, drive.ErrTooLarge) {
		return nil, refuse(Altered, name, err)
	}
	if err != nil {
		return nil, unavailable(name, err)
	}
	if int64(len(data)) != size || sha256.Sum256(data) != sum {
		return nil, refusef(Altered, name, "it is not what was sealed")
	}
	f, err := d.staging.Create(name)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(data)
	return data, errors.Join(err, f.Close())
}

// copy reads an object from the drive once, at most its stated size and one
// byte, into staging while hashing. The drive is not asked for it again.
func (d *delivery) copy(name string, size int64, sum manifest.Hash) error {
	src, err := d.Drive.OpenFile(path.Join(d.folder, name))
	if err != nil {
		return unavailable(name, err)
	}
	defer src.Close()
	f, err := d.staging.Create(name)
	if err != nil {
		return err
	}
	hash := sha256.New()
	n, err := io.CopyBuffer(io.MultiWriter(f, hash), io.LimitReader(src, size+1), make([]byte, min(size+1, 1<<20)))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("receiving %s: %w", name, err)
	}
	if n != size || manifest.Hash(hash.Sum(nil)) != sum {
		return refusef(Altered, name, "it is not what was sealed")
	}
	return nil
}

// unavailable gives the reason for an object that was listed a moment ago, or
// ought to be there, and could not be had.
func unavailable(name string, err error) error {
	switch {
	case errors.Is(err, drive.ErrGone): // and so everything on it
		return err
	case errors.Is(err, fs.ErrNotExist):
		return refuse(MissingPart, name, err)
	case errors.Is(err, drive.ErrKind):
		return refuse(Altered, name, err)
	}
	return err
}

// exactly compares a listing with the names that must be there.
func exactly(where string, got []drive.Name, folders, files []string) error {
	missing := make(map[string]bool, len(folders)+len(files))
	for _, f := range folders {
		missing[f] = true
	}
	for _, f := range files {
		missing[f] = false
	}
	for _, n := range got {
		folder, wanted := missing[n.Name]
		if !wanted {
			return refusef(ExtraFile, path.Join(where, n.Name), "no seal names it")
		}
		if folder && !n.Folder || !folder && !n.File {
			return refusef(Altered, path.Join(where, n.Name), "it is something else than what was sealed")
		}
		delete(missing, n.Name)
	}
	for name := range missing {
		return refusef(MissingPart, path.Join(where, name), "the seal names it and it is not there")
	}
	return nil
}
