package seal

import (
	"bytes"
	"errors"
	"os"
	"testing"
)

func TestPrivateKeyPEM(t *testing.T) {
	p, path := newPrivate(t)
	data, err := p.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	if file, err := os.ReadFile(path); err != nil || !bytes.Equal(file, data) {
		t.Errorf("the file is another (%v)", err)
	}
	back, err := ParsePrivateKey(data)
	if err != nil || back.Public().KeyID() != p.Public().KeyID() {
		t.Errorf("got %v, %v", back, err)
	}
	other, err := NewPrivateKey()
	if err != nil || other.Public().KeyID() == p.Public().KeyID() {
		t.Errorf("made %v, %v", other, err)
	}
	for name, data := range map[string][]byte{
		"empty":    nil,
		"cut":      data[:len(data)/2],
		"two":      append(bytes.Clone(data), data...),
		"a public": p.Public().Marshal(),
	} {
		k, err := ParsePrivateKey(data)
		if !errors.Is(err, ErrMalformed) || k != nil {
			t.Errorf("%s: %v, %v", name, k, err)
		}
	}
}
