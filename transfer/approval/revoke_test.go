package approval

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRevoke(t *testing.T) {
	s, _, added := newStore(t, 3)
	envelope := string(added[1].Envelope())
	must(t, s.Revoke(added[1].ID(), "5678", "鍵を紛失", noon))
	must(t, s.Revoke(added[0].ID(), "5678", "", noon.Add(time.Hour)))
	if all, err := s.List(); err != nil || ids(all) != added[2].ID() {
		t.Errorf("got %s, %v", ids(all), err)
	}
	revoked, err := s.Revoked()
	want := []Revocation{{added[0].ID(), noon.Add(time.Hour), "5678", ""}, {added[1].ID(), noon, "5678", "鍵を紛失"}}
	if err != nil || !reflect.DeepEqual(revoked, want) {
		t.Errorf("got %+v, %v", revoked, err)
	}
	files := tree(t, s.Dir)
	if files["revoked/"+added[1].ID()+".approval.json"] != envelope || len(files) != 5 ||
		files["revoked/"+added[1].ID()+".revoked.json"] != `{"format":"sekisho-revocation/1","approval":"`+added[1].ID()+
			`","time":"2026-11-22T12:00:00Z","by":"5678","reason":"鍵を紛失"}`+"\n" {
		t.Errorf("on disk: %q", files)
	}
	// It is for good.
	if a, err := s.Add(added[1].Envelope()); !errors.Is(err, ErrRevoked) || a != nil {
		t.Errorf("added what was revoked: %v", err)
	}
	if err := s.Revoke(added[1].ID(), "1234", "again", noon); !errors.Is(err, ErrRevoked) {
		t.Errorf("revoked twice: %v", err)
	}
	for name, err := range map[string]error{
		"unknown":  s.Revoke("0123456789abcdef", "1234", "", noon),
		"a path":   s.Revoke("../revoked/"+added[1].ID(), "1234", "", noon),
		"nobody":   s.Revoke(added[2].ID(), "", "", noon),
		"reason":   s.Revoke(added[2].ID(), "1234", "a\nb", noon),
		"no time":  s.Revoke(added[2].ID(), "1234", "", time.Time{}),
		"no store": Store{Dir: t.TempDir()}.Revoke(added[2].ID(), "1234", "", noon),
	} {
		if err == nil {
			t.Errorf("%s: revoked", name)
		}
	}
	if !errors.Is(s.Revocable("0123456789abcdef"), ErrNone) || !errors.Is(s.Revoke("0123456789abcdef", "1234", "", noon), ErrNone) || !maps.Equal(files, tree(t, s.Dir)) {
		t.Error("a refused revocation left something")
	}
}

// Between the revocation's record and the envelope's move the power was cut.
func TestRevokeInterrupted(t *testing.T) {
	s, _, added := newStore(t, 1)
	id := added[0].ID()
	must(t, s.Revoke(id, "5678", "first", noon))
	must(t, os.Rename(s.revoked(id, approvalKind), s.path(id)))
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Errorf("got %s, %v", ids(all), err)
	}
	if a, err := s.Add(added[0].Envelope()); !errors.Is(err, ErrRevoked) || a != nil {
		t.Errorf("added: %v", err)
	}
	must(t, s.Revocable(id))
	must(t, s.Revoke(id, "9", "second", noon.Add(time.Hour)))
	if revoked, err := s.Revoked(); err != nil || len(revoked) != 1 || revoked[0].Reason != "first" {
		t.Errorf("got %+v, %v", revoked, err)
	}
	if err := s.Revocable(id); !errors.Is(err, ErrRevoked) {
		t.Errorf("revoked and revocable: %v", err)
	}
	if _, err := os.Stat(s.path(id)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the envelope is still there: %v", err)
	}
	// Someone deleted the record: it stays revoked, and the list says so.
	must(t, os.Remove(s.revoked(id, revokedKind)))
	if a, err := s.Add(added[0].Envelope()); !errors.Is(err, ErrRevoked) || a != nil {
		t.Errorf("added: %v", err)
	}
	if all, err := s.Revoked(); err == nil || !strings.Contains(err.Error(), s.revoked(id, revokedKind)) || all != nil {
		t.Errorf("got %+v, %v", all, err)
	}
}

func TestRevokedBroken(t *testing.T) {
	for name, data := range map[string]string{
		"empty":  "",
		"text":   "revoked",
		"spaces": `{"format":"sekisho-revocation/1","approval":"ID","time":"2026-11-22T12:00:00Z","by":"5678", "reason":""}` + "\n",
		"format": `{"format":"sekisho-revocation/2","approval":"ID","time":"2026-11-22T12:00:00Z","by":"5678","reason":""}` + "\n",
		"other":  `{"format":"sekisho-revocation/1","approval":"0123456789abcdef","time":"2026-11-22T12:00:00Z","by":"5678","reason":""}` + "\n",
		"nobody": `{"format":"sekisho-revocation/1","approval":"ID","time":"2026-11-22T12:00:00Z","by":"","reason":""}` + "\n",
		"huge":   strings.Repeat(" ", maxRevocation+1),
	} {
		s, _, added := newStore(t, 2)
		must(t, s.Revoke(added[0].ID(), "5678", "", noon))
		path := s.revoked(added[0].ID(), revokedKind)
		must(t, os.WriteFile(path, []byte(strings.ReplaceAll(data, "ID", added[0].ID())), 0o600))
		if all, err := s.Revoked(); err == nil || !strings.Contains(err.Error(), path) || all != nil {
			t.Errorf("%s: got %+v, %v", name, all, err)
		}
		// What is revoked stays so, whatever the record says.
		if all, err := s.List(); err != nil || ids(all) != added[1].ID() {
			t.Errorf("%s: listed %s, %v", name, ids(all), err)
		}
	}
}
