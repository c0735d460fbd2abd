package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"sekisho/transfer/drive"
	"sekisho/transfer/manifest"
	"sekisho/transfer/manifest/bagit"
	"sekisho/transfer/seal"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(exampleDir, name))
	must(t, err)
	return data
}

// noting is an identity that keeps the types of the stanzas it was shown.
type noting struct {
	*age.HybridIdentity
	types []string
}

func (n *noting) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	n.types = nil
	for _, s := range stanzas {
		n.types = append(n.types, s.Type)
	}
	return n.HybridIdentity.Unwrap(stanzas)
}

// The example is what FORMAT.md says of it, to a reader that has only its files.
func TestExampleIsReadable(t *testing.T) {
	if err := bagit.Check(os.DirFS(filepath.Join(exampleDir, exampleBag))); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"gate.key", "recovery.key"} {
		ids, err := age.ParseIdentities(bytes.NewReader(read(t, key)))
		must(t, err)
		id := &noting{HybridIdentity: ids[0].(*age.HybridIdentity)}
		for object, plain := range map[string]string{
			manifest.Index: "index.jsonl", manifest.FileSums: "files.sha256", manifest.DetailsFile: "details.jsonl",
			manifest.PartName(1): "000001.tar", manifest.PartName(2): "000002.tar", manifest.PartName(3): "000003.tar", manifest.PartName(4): "000004.tar",
		} {
			r, err := age.Decrypt(bytes.NewReader(read(t, exampleBag+object)), id)
			must(t, err)
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, read(t, "plain/"+plain)) {
				t.Errorf("%s opened with %s is not %s: %v", object, key, plain, err)
			}
			if got := strings.Join(id.types, " "); got != "mlkem768x25519 mlkem768x25519" {
				t.Errorf("%s has the stanzas %s", object, got)
			}
		}
	}

	st, err := manifest.ParseStatement(read(t, "plain/statement.json"))
	must(t, err)
	keys, err := manifest.ParseKeySet(read(t, "keys.json"))
	must(t, err)
	if st.GateKeys != sha256.Sum256(read(t, "keys.json")) || st.Payload != sha256.Sum256(read(t, exampleBag+manifest.TagManifest)) {
		t.Error("the statement is not about this key set and this payload")
	}
	for i, size := range st.Sizes.Parts {
		if got := len(read(t, exampleBag+manifest.PartName(i+1))); int64(got) != size {
			t.Errorf("part %d has %d bytes, the statement says %d", i+1, got, size)
		}
	}
	d, err := drive.Open(filepath.Join(exampleDir, "drive"))
	must(t, err)
	defer d.Close()
	if id, err := d.ID(manifest.DriveFile); err != nil || id != st.Drive {
		t.Errorf("the drive is %q, %v", id, err)
	}
	key, err := seal.ParsePublicKey([]byte(keys.Receipts))
	must(t, err)
	receipt, err := seal.OpenSigned(manifest.ReceiptType, read(t, "drive/"+manifest.Receipts+"/"+transfer+".dsse.json"), key)
	if err != nil || !bytes.Equal(receipt, read(t, "plain/receipt.json")) {
		t.Errorf("the receipt's envelope holds %s, %v", receipt, err)
	}
	if r, err := manifest.ParseReceipt(receipt); err != nil || r.Payload != st.Payload {
		t.Errorf("receipt %v, %v", r, err)
	}
	if _, err := manifest.ParseDetails(bytes.NewReader(read(t, "plain/details.jsonl")), transfer); err != nil {
		t.Error(err)
	}
}

// Index, parts and list agree in the example, and tar agrees with them.
func TestExampleTar(t *testing.T) {
	x, err := manifest.NewIndexReader(bytes.NewReader(read(t, "plain/index.jsonl")), transfer)
	must(t, err)
	var parts [][]byte
	for n := range 4 {
		parts = append(parts, read(t, fmt.Sprintf("plain/%06d.tar", n+1)))
	}
	dir := t.TempDir()
	cmd := exec.Command("tar", "--extract", "--directory", dir, "--file", "-")
	cmd.Stdin = bytes.NewReader(bytes.Join(parts, nil))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	carried := 0
	for {
		e, err := x.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		path := filepath.Join(dir, string(e.Path))
		st, err := os.Lstat(path)
		if !e.Carried() {
			if !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%q is extracted", e.Path)
			}
			continue
		}
		must(t, err)
		carried++
		header, err := manifest.Header(e)
		must(t, err)
		if at := parts[e.Part-1][e.Offset:]; !bytes.HasPrefix(at, header) {
			t.Errorf("%q has no header at %d in part %d", e.Path, e.Offset, e.Part)
		}
		if !st.ModTime().Equal(e.ModTime) || st.IsDir() != (e.Type == manifest.Folder) {
			t.Errorf("%q: %v of %v", e.Path, st.Mode(), st.ModTime())
		}
		if e.Type == manifest.File {
			data, err := os.ReadFile(path)
			must(t, err)
			if *e.SHA256 != sha256.Sum256(data) {
				t.Errorf("%q has other content", e.Path)
			}
		}
	}
	if carried != 7 {
		t.Errorf("%d entries are carried", carried)
	}
	cmd = exec.Command("sha256sum", "--strict", "--quiet", "-c", "-")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(read(t, "plain/files.sha256"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
