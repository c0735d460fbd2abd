package script

import (
	"bytes"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// hasten encrypts IT's keys in dir anew, with the least work for a passphrase:
// each script that approves would spend seconds on it under the race detector.
func hasten(dir string) error {
	for _, name := range []string{"approvals.key.age", "definitions.key.age"} {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		identity, err := age.NewScryptIdentity(passphrase)
		if err != nil {
			return err
		}
		plain, err := age.Decrypt(armor.NewReader(bytes.NewReader(data)), identity)
		if err != nil {
			return err
		}
		recipient, err := age.NewScryptRecipient(passphrase)
		if err != nil {
			return err
		}
		recipient.SetWorkFactor(1)
		var out bytes.Buffer
		armored := armor.NewWriter(&out)
		w, err := age.Encrypt(armored, recipient)
		if err != nil {
			return err
		}
		if _, err := io.Copy(w, plain); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		if err := armored.Close(); err != nil {
			return err
		}
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}
