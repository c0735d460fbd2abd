package seal

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

func TestCreateKeyIsIdempotent(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	first := newKey(t, tpm)
	before, err := first.Increment()
	if err != nil {
		t.Fatal(err)
	}
	second := newKey(t, tpm)
	if after, err := second.Counter(); err != nil || after != before {
		t.Errorf("counter went from %d to %d (%v)", before, after, err)
	}
	if first.Public().KeyID() != second.Public().KeyID() {
		t.Error("made another key")
	}
	if h := loaded(t, tpm); len(h) > 0 {
		t.Errorf("left loaded in the TPM: %x", h)
	}
}

// Wherever a creation stops, there is no key, and the next one finishes it.
func TestInterruptedCreationIsFinished(t *testing.T) {
	define := func(tpm *TPM) error {
		_, err := tpm2.NVDefineSpace{AuthHandle: noPassword(tpm2.TPMRHOwner), PublicInfo: tpm2.New2B(counterTemplate(nil))}.Execute(tpm.link)
		return err
	}
	makeKey := func(tpm *TPM) error { return tpm.makeKey(nil) }
	for name, steps := range map[string][]func(*TPM) error{
		"before all":          nil,
		"after the key":       {makeKey},
		"after the counter":   {makeKey, define},
		"only with a counter": {define},
	} {
		t.Run(name, func(t *testing.T) {
			tpm := openIn(t, newFolder(t))
			for _, step := range steps {
				if err := step(tpm); err != nil {
					t.Fatal(err)
				}
			}
			if k, err := tpm.Key(Form{}); !errors.Is(err, ErrNoKey) || k != nil {
				t.Fatalf("an unfinished key: %v", err)
			}
			enrol(t, newKey(t, tpm), "k1")
			if _, err := tpm.Key(Form{}); err != nil {
				t.Errorf("after finishing: %v", err)
			}
		})
	}
}

func TestTakenPlacesAreRefused(t *testing.T) {
	t.Run("key", func(t *testing.T) {
		tpm := openIn(t, newFolder(t))
		made, err := tpm2.CreatePrimary{PrimaryHandle: noPassword(tpm2.TPMRHOwner), InPublic: tpm2.New2B(keyTemplate(nil))}.Execute(tpm.link)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tpm2.EvictControl{Auth: noPassword(tpm2.TPMRHOwner), PersistentHandle: keyHandle,
			ObjectHandle: tpm2.NamedHandle{Handle: made.ObjectHandle, Name: made.Name}}.Execute(tpm.link)
		if err != nil {
			t.Fatal(err)
		}
		if k, err := tpm.CreateKey(Form{}); k != nil || err == nil || !strings.Contains(err.Error(), "is not ours") {
			t.Errorf("took a key of the storage hierarchy: %v", err)
		}
	})
	for name, change := range map[string]func(*tpm2.TPMSNVPublic){
		"ordinary index":   func(p *tpm2.TPMSNVPublic) { p.Attributes.NT = tpm2.TPMNTOrdinary },
		"orderly counter":  func(p *tpm2.TPMSNVPublic) { p.Attributes.Orderly = true },
		"owner may write":  func(p *tpm2.TPMSNVPublic) { p.Attributes.OwnerWrite = true },
		"without lockout":  func(p *tpm2.TPMSNVPublic) { p.Attributes.NoDA = false },
		"named by SHA-384": func(p *tpm2.TPMSNVPublic) { p.NameAlg = tpm2.TPMAlgSHA384 },
	} {
		t.Run(name, func(t *testing.T) {
			tpm := openIn(t, newFolder(t))
			template := counterTemplate(nil)
			change(&template)
			if _, err := (tpm2.NVDefineSpace{AuthHandle: noPassword(tpm2.TPMRHOwner), PublicInfo: tpm2.New2B(template)}).Execute(tpm.link); err != nil {
				t.Fatal(err)
			}
			if k, err := tpm.CreateKey(Form{}); k != nil || err == nil || !strings.Contains(err.Error(), "is not ours") {
				t.Errorf("took an index that is not a counter of ours: %v", err)
			}
		})
	}
}

// Clearing a TPM deletes both; the same key comes back, the counter is never
// lower, and so the enrolment holds.
func TestClearedTPMKeepsItsIdentity(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	k := newKey(t, tpm)
	kiosk := enrol(t, k, "k1")
	var before uint64
	for range 5 {
		var err error
		if before, err = k.Increment(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (tpm2.Clear{AuthHandle: noPassword(tpm2.TPMRHLockout)}).Execute(tpm.link); err != nil {
		t.Fatal(err)
	}
	if _, err := tpm.Key(Form{}); !errors.Is(err, ErrNoKey) {
		t.Fatalf("after a clear: %v", err)
	}
	k = newKey(t, tpm)
	s := newSeal(t, k, "x")
	_, by, err := Open(testType, s.Envelope, s.Evidence, []*Kiosk{kiosk})
	if err != nil {
		t.Fatal(err)
	}
	if by.Counter <= before {
		t.Errorf("counter went from %d to %d", before, by.Counter)
	}
}

func TestOwnerPasswordIsExplained(t *testing.T) {
	tpm := openIn(t, newFolder(t))
	_, err := tpm2.HierarchyChangeAuth{AuthHandle: noPassword(tpm2.TPMRHOwner), NewAuth: tpm2.TPM2BAuth{Buffer: []byte("owned")}}.Execute(tpm.link)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tpm.CreateKey(Form{}); err == nil || !strings.Contains(err.Error(), "owner's or endorsement password") {
		t.Errorf("owned TPM: %v", err)
	}
	if h := loaded(t, tpm); len(h) > 0 {
		t.Errorf("left loaded in the TPM: %x", h)
	}
}
