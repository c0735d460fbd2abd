package main

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"sekisho/app/config"
	"sekisho/app/state"
	"sekisho/transfer/enrol"
	"sekisho/transfer/seal"
)

// What an enrolled kiosk promises is compared with what the next enrolment of that
// name would; the enrolled one is a real one, of a software TPM.
func TestLess(t *testing.T) {
	dir := t.TempDir()
	m := &machine{Gate: &config.Gate{}, Folder: state.At(dir)}
	must(t, os.Mkdir(m.Path(kiosksDir), 0o700))
	pending := func(mode string, software, bound bool) *enrol.Pending {
		r := &enrol.Request{Name: "k3"}
		if bound {
			r.Approvals = "it"
		}
		return &enrol.Pending{Request: r, Origin: enrol.Origin{Mode: mode, Software: software}}
	}
	if all, err := m.less(pending(seal.ModeFingerprint, false, false)); err != nil || len(all) > 0 {
		t.Errorf("nothing is enrolled: %q, %v", all, err)
	}
	enrolled, err := os.ReadFile("../../transfer/seal/testdata/recorded/kiosk.json")
	must(t, err)
	for name, v := range map[string]struct {
		mode     string
		software bool
		bound    bool
		less     []string
	}{
		"the same":    {seal.ModeCertified, false, false, nil},
		"more":        {seal.ModeCertified, false, true, nil},
		"fingerprint": {seal.ModeFingerprint, false, false, []string{"a maker certified its TPM, and none does now"}},
		"software":    {seal.ModeCertified, true, false, []string{"its TPM was hardware, and is software now"}},
		"both":        {seal.ModeFingerprint, true, true, []string{"a maker certified its TPM, and none does now", "its TPM was hardware, and is software now"}},
	} {
		must(t, os.WriteFile(m.kioskPath("k3"), bytes.Replace(enrolled, []byte(`"software":true`), []byte(`"software":false`), 1), 0o600))
		if all, err := m.less(pending(v.mode, v.software, v.bound)); err != nil || !slices.Equal(all, v.less) {
			t.Errorf("%s: %q, %v, want %q", name, all, err, v.less)
		}
	}
	must(t, os.WriteFile(m.kioskPath("k3"), []byte("{}\n"), 0o600))
	if all, err := m.less(pending(seal.ModeCertified, false, true)); err == nil || all != nil {
		t.Errorf("compared with a damaged enrolment: %q", all)
	}
}
