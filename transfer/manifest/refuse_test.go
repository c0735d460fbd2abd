package manifest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestReceiptRefuses(t *testing.T) {
	refuses(t, "receipt", []change[Receipt]{
		{"gate without a name", "not a receipt", func(r *Receipt) { r.Gate = "" }},
		{"kiosk with a line feed", "not a receipt", func(r *Receipt) { r.Kiosk = "k3\n" }},
		{"no transfer", "not a receipt", func(r *Receipt) { r.Transfer = "../../etc" }},
		{"counter 0", "not a receipt", func(r *Receipt) { r.Counter = 0 }},
		{"another result", "neither", func(r *Receipt) { r.Result = "probably" }},
		{"accepted as nothing", "neither", func(r *Receipt) { r.Generation = "" }},
		{"accepted as a path", "neither", func(r *Receipt) { r.Generation = ".." }},
		{"accepted for a reason", "neither", func(r *Receipt) { r.Reason = "Altered" }},
		{"refused without a reason", "neither", func(r *Receipt) { r.Result, r.Generation = Refused, "" }},
		{"refused for a long reason", "neither", func(r *Receipt) { r.Result, r.Generation, r.Reason = Refused, "", "not a name" }},
		{"refused with a generation", "neither", func(r *Receipt) { r.Result, r.Reason = Refused, "Altered" }},
		{"scanned by nothing", "scan", func(r *Receipt) { r.Engines = nil }},
		{"engines that did not scan", "scan", func(r *Receipt) { r.Scanned = false }},
		{"engine without a version", "version", func(r *Receipt) { r.Engines[0].Version = "" }},
		{"another zone", "time", func(r *Receipt) { r.Time = r.Time.In(time.FixedZone("JST", 9*60*60)) }},
		{"no checkpoint", "checkpoint", func(r *Receipt) { r.Ledger = "" }},
	})
	if _, err := ParseReceipt(bytes.Replace(line(validReceipt()), []byte("receipt/1"), []byte("receipt/2"), 1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("another version: %v", err)
	}
}

func TestKeySetRefuses(t *testing.T) {
	refuses(t, "key set", []change[KeySet]{
		{"gate without a name", "not the key set", func(k *KeySet) { k.Gate = "" }},
		{"recipient of another type", "hybrid", func(k *KeySet) { k.Encryption = "age1qqqq" }},
		{"recovery of another type", "hybrid", func(k *KeySet) { k.Recovery = "ssh-ed25519 AAAA" }},
		{"recipient of two lines", "hybrid", func(k *KeySet) { k.Encryption = "age1pq1aaaa\nage1pq1cccc" }},
		{"recipient of great length", "hybrid", func(k *KeySet) { k.Encryption = "age1pq1" + strings.Repeat("a", maxRecipient) }},
		{"one key twice", "one key", func(k *KeySet) { k.Recovery = k.Encryption }},
		{"no key for receipts", "PEM", func(k *KeySet) { k.Receipts = "" }},
		{"no key for the ledger", "PEM", func(k *KeySet) { k.Ledger = "" }},
		{"key of great length", "PEM", func(k *KeySet) { k.Ledger = strings.Repeat("x\n", maxPEM) }},
		{"no key for approvals", "PEM", func(k *KeySet) { k.Approvals = "" }},
		{"no key for definitions", "PEM", func(k *KeySet) { k.Definitions = "" }},
		{"no key for reports", "PEM", func(k *KeySet) { k.Reports = "" }},
		{"one key for receipts and ledger", "one key", func(k *KeySet) { k.Ledger = k.Receipts }},
		{"one key for approvals and definitions", "one key", func(k *KeySet) { k.Definitions = k.Approvals }},
		{"one key for receipts and reports", "one key", func(k *KeySet) { k.Reports = k.Receipts }},
		{"one key for ledger and approvals", "one key", func(k *KeySet) { k.Approvals = k.Ledger }},
	})
	if _, err := ParseKeySet(bytes.Replace(line(validKeySet()), []byte("keys/1"), []byte("keys/2"), 1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("another version: %v", err)
	}
	a, err := validKeySet().Digest()
	must(t, err)
	if want := Hash(sha256.Sum256(line(validKeySet()))); a != want {
		t.Errorf("digest %v, want that of the file, %v", a, want)
	}
	if _, err := new(KeySet).Digest(); !errors.Is(err, ErrMalformed) {
		t.Errorf("an empty key set has a digest: %v", err)
	}
}

func TestDetailsRefuses(t *testing.T) {
	refuses(t, "details", []change[Details]{
		{"of no transfer", "details of", func(d *Details) { d.Transfer = "" }},
		{"of no workflow", "details of", func(d *Details) { d.Workflow = "" }},
		{"of no source", "details of", func(d *Details) { d.Source = "" }},
		{"of a source of great length", "details of", func(d *Details) { d.Source = strings.Repeat("x", MaxPath+1) }},
		{"started in another zone", "details of", func(d *Details) { d.Started = d.Started.In(time.FixedZone("JST", 9*60*60)) }},
		{"definitions of nothing", "definition", func(d *Details) { d.Definitions[1].Engine = "" }},
		{"definitions without a name", "definition", func(d *Details) { d.Definitions[1].Name = "" }},
		{"definitions below 0", "definition", func(d *Details) { d.Definitions[1].Size = -1 }},
		{"definitions of another zone", "definition", func(d *Details) { d.Definitions[1].Time = d.Started.In(time.FixedZone("JST", 9*60*60)) }},
		{"no rule", "exemption", func(d *Details) { d.Exemptions[0].Rule = "" }},
		{"rule of great length", "exemption", func(d *Details) { d.Exemptions[0].Rule = strings.Repeat("x", MaxRule+1) }},
		{"rule for no file", "exemption", func(d *Details) { d.Exemptions[0].Files = 0 }},
	})
	data, err := validDetails().Marshal()
	must(t, err)
	lines := strings.SplitAfter(string(data), "\n")
	for name, bad := range map[string]string{
		"empty":             "",
		"no first line":     strings.Join(lines[1:], ""),
		"two first lines":   lines[0] + string(data),
		"first line later":  lines[1] + lines[0] + lines[2] + lines[3],
		"exemptions before": lines[0] + lines[3] + lines[1] + lines[2],
		"a line of nothing": lines[0] + "{}\n",
		"an empty line":     lines[0] + "\n" + lines[1],
		"two in a line":     lines[0] + strings.TrimSuffix(lines[1], "}\n") + `,` + strings.TrimPrefix(lines[3], "{"),
		"another version":   strings.Replace(string(data), "details/1", "details/2", 1),
		"a line too long":   lines[0] + `{"exemption":{"rule":"` + strings.Repeat("x", MaxLine) + `","files":1}}` + "\n",
		"other line ends":   strings.ReplaceAll(string(data), "\n", "\r\n"),
	} {
		if d, err := ParseDetails(strings.NewReader(bad), transferID); d != nil || !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	if d, err := ParseDetails(bytes.NewReader(data), "20261122T1212Z-k3-000043"); d != nil || !errors.Is(err, ErrMalformed) {
		t.Errorf("details of another night: %v, %v", d, err)
	}
	broken := errors.New("broken")
	if d, err := ParseDetails(io.MultiReader(bytes.NewReader(data), failing{broken}), transferID); d != nil || !errors.Is(err, broken) || errors.Is(err, ErrMalformed) {
		t.Errorf("a broken reader: %v, %v", d, err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
