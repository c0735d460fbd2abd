package approval

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"filippo.io/age/armor"

	"sekisho/transfer/seal"
)

const passphrase = "関所の鍵は金庫の中にあります" // 14 characters

// As in use: the only test that waits for scrypt, twice.
func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "approvals.key.age")
	key, err := CreateKey(path, passphrase)
	must(t, err)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if files := tree(t, filepath.Dir(path)); len(files) != 1 {
		t.Errorf("on disk: %q", files)
	}
	data, err := os.ReadFile(path)
	must(t, err)
	plain, err := key.MarshalPEM()
	must(t, err)
	if !bytes.HasPrefix(data, []byte("-----BEGIN AGE ENCRYPTED FILE-----\n")) || bytes.Contains(data, plain[30:60]) {
		t.Errorf("on disk: %s", data)
	}

	loaded, err := LoadKey(path, passphrase)
	if err != nil || loaded.Public().KeyID() != key.Public().KeyID() {
		t.Fatalf("loaded %v, %v", loaded, err)
	}
	envelope, _, err := Sign(loaded, newState(), terms())
	must(t, err)
	if _, err := Open(envelope, key.Public(), "k3"); err != nil {
		t.Errorf("what it signed: %v", err)
	}

	again, err := CreateKey(path, passphrase)
	if !errors.Is(err, fs.ErrExist) || again != nil {
		t.Errorf("created over a key: %v, %v", again, err)
	}
	secrets(t, err, passphrase, plain)
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(data, after) {
		t.Errorf("the file changed (%v)", err)
	}
	for _, k := range []*seal.PrivateKey{key, loaded} {
		secrets(t, k, passphrase, plain)
		secrets(t, struct{ Key *seal.PrivateKey }{k}, passphrase, plain)
	}
}

// secrets fails when one of the ways in which things come into logs shows the
// passphrase or the key.
func secrets(t *testing.T, v any, passphrase string, plain []byte) {
	t.Helper()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
	fmt.Fprintf(&log, "%v %+v %#v %s %q %x", v, v, v, v, v, v)
	if err, ok := v.(error); ok {
		fmt.Fprint(&log, err.Error(), errors.Unwrap(err))
	}
	hidden := append([]string{passphrase, fmt.Sprintf("%x", passphrase)}, strings.Split(string(plain), "\n")[1:3]...)
	for _, secret := range hidden {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%T shows %q: %s", v, secret, log.String())
		}
	}
}

func TestCreateKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, short := range []string{"", "hunter2", "elevenchars", "十一文字の合言葉です。"} {
		key, err := CreateKey(filepath.Join(dir, "key"), short)
		if !errors.Is(err, ErrShort) || key != nil {
			t.Errorf("%q: %v, %v", short, key, err)
		}
		if short != "" && strings.Contains(err.Error(), short) {
			t.Errorf("the error shows it: %v", err)
		}
	}
	if files := tree(t, dir); len(files) != 0 {
		t.Errorf("on disk: %q", files)
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	key := newKey(t)
	plain, err := key.MarshalPEM()
	must(t, err)
	identity, err := age.GenerateX25519Identity()
	must(t, err)
	quick := func(work int, content []byte) []byte {
		r, err := age.NewScryptRecipient(passphrase)
		must(t, err)
		r.SetWorkFactor(work)
		return encrypted(t, r, content)
	}
	good := quick(1, plain)
	if k, err := load(t, good, passphrase); err != nil || k.Public().KeyID() != key.Public().KeyID() {
		t.Fatalf("the good one: %v", err)
	}
	for _, wrong := range []string{"関所の鍵は金庫の外にあります", passphrase + " ", ""} {
		k, err := load(t, good, wrong)
		if !errors.Is(err, ErrPassphrase) || errors.Is(err, ErrNotKey) || k != nil {
			t.Errorf("wrong passphrase: %v, %v", k, err)
		}
		if wrong != "" {
			secrets(t, err, wrong, plain)
		}
	}
	header, body, _ := strings.Cut(string(good), "\n")
	damaged := []byte(body)
	damaged[len(damaged)-60] ^= 1 // in the last lines
	for name, data := range map[string][]byte{
		"empty":              nil,
		"plain PEM":          plain,
		"an age identity":    []byte(identity.String() + "\n"),
		"to a key":           encrypted(t, identity.Recipient(), plain),
		"something else":     quick(1, []byte("not a key")),
		"nothing":            quick(1, nil),
		"two keys":           quick(1, append(plain, plain...)),
		"cut":                good[:len(good)/2],
		"damaged":            append([]byte(header+"\n"), damaged...),
		"huge":               quick(1, make([]byte, maxKeyFile)),
		"asks for too much":  bytes.Clone(overwork(t, good)),
		"trailing something": append(bytes.Clone(good), "x"...),
	} {
		k, err := load(t, data, passphrase)
		if !errors.Is(err, ErrNotKey) || errors.Is(err, ErrPassphrase) || k != nil {
			t.Errorf("%s: got %v, %v", name, k, err)
			continue
		}
		secrets(t, err, passphrase, plain)
		if strings.Contains(err.Error(), identity.String()) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
	if k, err := LoadKey(filepath.Join(t.TempDir(), "none"), passphrase); !errors.Is(err, fs.ErrNotExist) || k != nil {
		t.Errorf("got %v, %v", k, err)
	}
	if k, err := LoadKey(t.TempDir(), passphrase); err == nil || k != nil {
		t.Errorf("loaded a folder: %v", k)
	}
}

func load(t *testing.T, data []byte, passphrase string) (*seal.PrivateKey, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(path, data, 0o644)) // a drive may have no modes
	return LoadKey(path, passphrase)
}

func encrypted(t *testing.T, to age.Recipient, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	a := armor.NewWriter(&out)
	w, err := age.Encrypt(a, to)
	must(t, err)
	_, err = w.Write(content)
	must(t, errors.Join(err, w.Close(), a.Close()))
	return out.Bytes()
}

// overwork makes the file ask for 2^30, a terabyte of memory.
func overwork(t *testing.T, good []byte) []byte {
	t.Helper()
	var raw, out bytes.Buffer
	_, err := raw.ReadFrom(armor.NewReader(bytes.NewReader(good)))
	must(t, err)
	lines := strings.SplitN(raw.String(), "\n", 3)
	lines[1] = strings.TrimSuffix(lines[1], " 1") + " 30"
	a := armor.NewWriter(&out)
	_, err = a.Write([]byte(strings.Join(lines, "\n")))
	must(t, errors.Join(err, a.Close()))
	return out.Bytes()
}
