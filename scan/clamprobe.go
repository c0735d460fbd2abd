package scan

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"
)

// A clamd in its usual configuration calls clean what it did not look at:
// encrypted archives, archives nested too deeply, files too large. Before a
// daemon is believed, it must tell harmless, detected, encrypted and too deep
// apart.

// probes are asked in this order; hint is what to change when the reply is
// another than wanted.
var probes = []struct {
	what    string
	content func() ([]byte, error)
	want    func(reply) bool
	hint    string
}{
	{
		"harmless text", func() ([]byte, error) { return []byte("Nothing to see here.\n"), nil },
		func(r reply) bool { return r.status == "OK" },
		"its definitions call plain text malware",
	},
	{
		"the EICAR test file", func() ([]byte, error) { return eicar(), nil },
		func(r reply) bool { return r.status == "FOUND" && r.finding().Verdict == Detected },
		"its definitions are missing or not loaded",
	},
	{
		"an encrypted archive", encryptedZip,
		func(r reply) bool { return r.status == "FOUND" && strings.HasPrefix(r.text, "Heuristics.Encrypted") },
		"set AlertEncrypted yes in clamd.conf",
	},
	{
		"an archive nested 40 deep", func() ([]byte, error) { return nestedZip(40, []byte("deep")) },
		func(r reply) bool {
			return r.status == "FOUND" && strings.HasPrefix(r.text, "Heuristics.Limits.Exceeded")
		},
		"set AlertExceedsMax yes and MaxRecursion 17 in clamd.conf",
	},
}

// probe asks everything over s. On error the daemon must not be used.
func probe(s *session) error {
	for _, p := range probes {
		content, err := p.content()
		if err != nil {
			return fmt.Errorf("making %s: %w", p.what, err)
		}
		f, err := memfdOf("probe", content)
		if err != nil {
			return err
		}
		r, err := s.descriptor(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("probing clamd with %s: %w", p.what, err)
		}
		if !p.want(r) {
			return fmt.Errorf("clamd is not to be trusted: to %s it said %q; %s", p.what, r.text+" "+r.status, p.hint)
		}
	}
	return nil
}

// eicar is the standard test file, put together at run time so that nothing
// detects this program.
func eicar() []byte {
	return []byte(`X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR` + `-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`)
}

// encryptedZip is a zip whose one entry is marked encrypted.
func encryptedZip() ([]byte, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	content := []byte("twelve bytes of header, then nothing legible")
	entry, err := w.CreateRaw(&zip.FileHeader{
		Name: "secret.txt", Method: zip.Store, Flags: 1, CRC32: 0x5eca15c0,
		CompressedSize64: uint64(len(content)), UncompressedSize64: uint64(len(content) - 12),
	})
	if err == nil {
		_, err = entry.Write(content)
	}
	if err == nil {
		err = w.Close()
	}
	return buf.Bytes(), err
}

// nestedZip wraps content in depth zips.
func nestedZip(depth int, content []byte) ([]byte, error) {
	for range depth {
		var buf bytes.Buffer
		w := zip.NewWriter(&buf)
		entry, err := w.CreateHeader(&zip.FileHeader{Name: "inner.zip", Method: zip.Store})
		if err == nil {
			_, err = entry.Write(content)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			return nil, err
		}
		content = buf.Bytes()
	}
	return content, nil
}
