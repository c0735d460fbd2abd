package seal

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func newPrivate(t testing.TB) (*PrivateKey, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "receipt.key")
	p, err := CreatePrivateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	return p, path
}

func TestPrivateKeyFile(t *testing.T) {
	p, path := newPrivate(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := CreatePrivateKey(path); !errors.Is(err, fs.ErrExist) || again != nil {
		t.Errorf("creating over a key: %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the file changed (%v)", err)
	}
	if names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(names) != 1 {
		t.Errorf("left %q, %v", names, err)
	}
	loaded, err := LoadPrivateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Public().KeyID() != p.Public().KeyID() {
		t.Error("loaded another key")
	}
	//lint:ignore S1025 each verb is a way of its own to a key's bytes
	for _, text := range []string{fmt.Sprint(p), fmt.Sprintf("%+v", p), fmt.Sprintf("%#v", p), fmt.Sprintf("%s", p)} {
		if text != "private key "+p.Public().KeyID() {
			t.Errorf("prints as %q", text)
		}
	}
	// What a power cut left is no obstacle.
	second := filepath.Join(filepath.Dir(path), "second.key")
	if err := os.WriteFile(second+".part", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := CreatePrivateKey(second); err != nil {
		t.Error(err)
	}
	if _, err := LoadPrivateKey(second); err != nil {
		t.Error(err)
	}
	sum := sha256.Sum256([]byte("x"))
	sig, err := p.Signer().Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(p.Public().ECDSA(), sum[:], sig) {
		t.Errorf("signer: %v", err)
	}
}

func TestLoadPrivateKeyRefuses(t *testing.T) {
	_, good := newPrivate(t)
	text, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	write := func(data string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(data), 0o600) }
	}
	for name, make := range map[string]func(path string) error{
		"missing":        func(string) error { return nil },
		"readable":       func(p string) error { return errors.Join(os.WriteFile(p, text, 0o644), os.Chmod(p, 0o644)) },
		"group readable": func(p string) error { return errors.Join(os.WriteFile(p, text, 0o640), os.Chmod(p, 0o640)) },
		"link":           func(p string) error { return os.Symlink(good, p) },
		"folder":         func(p string) error { return os.Mkdir(p, 0o700) },
		"pipe":           func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"empty":          write(""),
		"bytes after":    write(string(text) + "x"),
		"two keys":       write(string(text) + string(text)),
		"other block":    write(strings.ReplaceAll(string(text), "PRIVATE", "EC PRIVATE")),
		"cut":            write(string(text[:100])),
		"huge":           write(string(text) + strings.Repeat("\n", maxPEM)),
		"P-384":          openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
		"RSA":            openssl("genpkey", "-algorithm", "RSA"),
		"Ed25519":        openssl("genpkey", "-algorithm", "ED25519"),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			p, err := LoadPrivateKey(path)
			if err == nil || p != nil {
				t.Fatal("loaded")
			}
			for _, line := range strings.Split(string(text), "\n")[1:3] {
				if strings.Contains(err.Error(), line) {
					t.Errorf("error shows the secret: %v", err)
				}
			}
		})
	}
}

func TestSignedEnvelope(t *testing.T) {
	p, _ := newPrivate(t)
	other, _ := newPrivate(t)
	envelope, err := p.Sign("application/x-receipt", []byte("accepted"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := OpenSigned("application/x-receipt", envelope, p.Public())
	if err != nil || string(payload) != "accepted" {
		t.Fatalf("got %q, %v", payload, err)
	}
	forged, err := newEnvelope("application/x-receipt", []byte("refused"), p.Public(), mustParse(t, envelope).Signatures[0].Sig)
	if err != nil {
		t.Fatal(err)
	}
	claimed, err := other.Sign("application/x-receipt", []byte("accepted"))
	if err != nil {
		t.Fatal(err)
	}
	claimed = []byte(strings.Replace(string(claimed), other.Public().KeyID(), p.Public().KeyID(), 1))
	for name, c := range map[string]struct {
		payloadType string
		envelope    []byte
		by          *PublicKey
		class       error
	}{
		"another type":    {"application/x-statement", envelope, p.Public(), ErrBadSeal},
		"another key":     {"application/x-receipt", envelope, other.Public(), ErrBadSeal},
		"another payload": {"application/x-receipt", forged, p.Public(), ErrBadSeal},
		"another signer":  {"application/x-receipt", claimed, p.Public(), ErrBadSeal},
		"cut":             {"application/x-receipt", envelope[:len(envelope)-1], p.Public(), ErrMalformed},
	} {
		if payload, err := OpenSigned(c.payloadType, c.envelope, c.by); !errors.Is(err, c.class) || payload != nil {
			t.Errorf("%s: got %q, %v, want %v", name, payload, err, c.class)
		}
	}
	if e, err := p.Sign("application/x-receipt", nil); err == nil || e != nil {
		t.Error("signed nothing")
	}
}

func mustParse(t *testing.T, data []byte) *envelope {
	t.Helper()
	e, err := parseEnvelope(data)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestPublicKeyPEM(t *testing.T) {
	p, _ := newPrivate(t)
	text := string(p.Public().Marshal())
	back, err := ParsePublicKey([]byte(text))
	if err != nil || back.KeyID() != p.Public().KeyID() {
		t.Fatalf("got %v, %v", back, err)
	}
	for name, data := range map[string]string{
		"empty":       "",
		"text before": "x\n" + text,
		"text after":  text + "x",
		"two":         text + text,
		"unfolded":    strings.Replace(text, "\nMF", "\n\nMF", 1),
		"other block": strings.ReplaceAll(text, "PUBLIC", "RSA PUBLIC"),
	} {
		if p, err := ParsePublicKey([]byte(data)); !errors.Is(err, ErrMalformed) || p != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
