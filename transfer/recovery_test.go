package transfer_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"sekisho/transfer"
	"sekisho/transfer/manifest"
	"sekisho/transfer/vault"
)

// accepted is a gate with the generations of so many nights.
func acceptedNights(t *testing.T, n int) *gate {
	t.Helper()
	k := newKiosk(t, "recovery")
	g := newGate(t, k)
	for i := range n {
		stick := t.TempDir()
		k.send(t, night(t, strings.Repeat("n", i+1)), stick)
		g.accept(t, stick)
	}
	return g
}

func (g *gate) export(t *testing.T, checks *transfer.RecoveryChecks) (string, transfer.RecoveryCount) {
	t.Helper()
	var out bytes.Buffer
	n, err := transfer.ExportHeaders(t.Context(), transfer.RecoveryExport{Gate: g.name, Vault: g.vault, KeySets: []*manifest.KeySet{g.keys}, Checked: checks.Checked}, &out)
	must(t, err)
	return out.String(), n
}

func try(t *testing.T, key transfer.Identity, headers string) (result string, n transfer.RecoveryCount, failed []string, err error) {
	t.Helper()
	var out bytes.Buffer
	n, err = transfer.TryRecovery(t.Context(), key, strings.NewReader(headers), &out, func(g, file string) { failed = append(failed, g+"/"+file) })
	return out.String(), n, failed, err
}

func (g *gate) recordCheck(t *testing.T, checks *transfer.RecoveryChecks, result string) (transfer.RecoveryCount, error) {
	t.Helper()
	return transfer.RecordRecovery(t.Context(), transfer.RecoveryRecord{Gate: g.name, Vault: g.vault, Identity: g.identity, Ledger: g.ledger, Staff: "it-01", Checks: checks}, strings.NewReader(result))
}

func noChecks(t *testing.T) *transfer.RecoveryChecks {
	t.Helper()
	c, err := transfer.ReadRecoveryChecks(filepath.Join(t.TempDir(), "none"))
	must(t, err)
	return c
}

func failedAs(t *testing.T, err error, want transfer.Reason, text string) {
	t.Helper()
	var r *transfer.Refusal
	if !errors.As(err, &r) || r.Reason != want || !strings.Contains(err.Error(), text) {
		t.Errorf("%v, want %s with %q", err, want, text)
	}
}

func TestRecoveryCheck(t *testing.T) {
	g := acceptedNights(t, 2)
	checks := noChecks(t)
	headers, n := g.export(t, checks)
	if n.Generations != 2 || n.Headers != 2*(3+5) {
		t.Fatalf("exported %+v", n)
	}
	for _, secret := range []string{"AGE-SECRET-KEY", "PRIVATE KEY", "山田", "images/"} {
		if strings.Contains(headers, secret) {
			t.Errorf("the headers hold %q", secret)
		}
	}
	result, tried, failed, err := try(t, g.recovery, headers)
	if err != nil || tried.Headers != n.Headers || tried.Generations != 2 || len(failed) > 0 {
		t.Fatalf("%+v, %q, %v", tried, failed, err)
	}
	got, err := g.recordCheck(t, checks, result)
	if err != nil || got != tried {
		t.Fatalf("recorded %+v, tried %+v: %v", got, tried, err)
	}
	records := g.records(t)
	last := records[len(records)-1]
	if last.Event != "verify" || last.Result != "opened" || last.By != "it-01" || last.Facts["headers"] != "16" || last.Facts["proof"] != tried.Proof.String() {
		t.Errorf("recorded %+v", last)
	}

	// What was checked is not exported again, and the memory of it outlives a restart.
	path := g.path("recovery.json")
	all, err := g.vault.Generations()
	must(t, err)
	must(t, checks.Write(path, all))
	again, err := transfer.ReadRecoveryChecks(path)
	must(t, err)
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 || again.Unchecked(all) != 0 || time.Since(again.Last) > time.Minute {
		t.Errorf("%+v, %v, %v", again, st.Mode(), err)
	}
	if _, n := g.export(t, again); n.Generations != 0 {
		t.Errorf("exported again: %+v", n)
	}
	must(t, again.Write(path, all[1:])) // one was pruned
	if again.Checked(all[0].ID) || !again.Checked(all[1].ID) {
		t.Error("a generation that is gone is still remembered")
	}
}

// TestRecoveryProof computes the proof as its description says, with age alone.
func TestRecoveryProof(t *testing.T) {
	g := acceptedNights(t, 1)
	headers, _ := g.export(t, noChecks(t))
	result, _, _, err := try(t, g.recovery, headers)
	must(t, err)
	text, err := os.ReadFile(g.path("recovery.key"))
	must(t, err)
	key, err := age.ParseHybridIdentity(strings.TrimSpace(string(text)))
	must(t, err)
	all := sha256.New()
	for line := range strings.Lines(headers) {
		var h struct{ Header string }
		must(t, json.Unmarshal([]byte(line), &h))
		if h.Header == "" {
			continue
		}
		fileKey, err := age.DecryptHeader([]byte(h.Header), key)
		must(t, err)
		mac := hmac.New(sha256.New, fileKey)
		digest := sha256.Sum256([]byte(h.Header))
		mac.Write(append([]byte("sekisho-recovery-v1\x00"), digest[:]...))
		all.Write(mac.Sum(nil))
	}
	of := manifest.Hash(all.Sum(nil))
	total := manifest.Hash(sha256.Sum256(of[:]))
	if !strings.Contains(result, `"failed":[],"proof":"`+of.String()+`"}`) || !strings.Contains(result, `"skipped":0,"proof":"`+total.String()+`"}`) {
		t.Errorf("%s\nlacks %s or %s", result, of, total)
	}
}

// TestRecoveryFails: a key that does not open, a result that somebody made up.
func TestRecoveryFails(t *testing.T) {
	g := acceptedNights(t, 2)
	checks := noChecks(t)
	headers, _ := g.export(t, checks)
	good, _, _, err := try(t, g.recovery, headers)
	must(t, err)

	stranger := newIdentity(t, filepath.Join(t.TempDir(), "other"))
	nothing, n, _, err := try(t, stranger, headers)
	failedAs(t, err, transfer.RecoveryFailed, "not the recovery key that 2 generations were made for")
	_, err = g.recordCheck(t, checks, nothing)
	failedAs(t, err, transfer.RecoveryFailed, "tried on nothing")
	if !checks.Last.IsZero() {
		t.Error("trying nothing counts as a check")
	}
	if n.Skipped != 2 {
		t.Errorf("%+v", n)
	}
	// As if the kiosk had encrypted to somebody else: the gate says it was for this key.
	lying := strings.ReplaceAll(headers, transfer.RecipientDigest(g.recovery.Recipient()).String(), transfer.RecipientDigest(stranger.Recipient()).String())
	result, n, failed, err := try(t, stranger, lying)
	failedAs(t, err, transfer.RecoveryFailed, "16 of 16 headers do not open")
	if n.Failed != 16 || len(failed) != 16 || !strings.HasSuffix(failed[0], "/data/000001.age") {
		t.Errorf("%+v, %q", n, failed)
	}
	_, err = g.recordCheck(t, checks, result)
	failedAs(t, err, transfer.RecoveryFailed, "16 headers did not open")
	if records := g.records(t); records[len(records)-1].Result != "failed" || records[len(records)-1].Reason != "RecoveryFailed" {
		t.Errorf("recorded %+v", records[len(records)-1])
	}

	// A header that is damaged on its way fails alone; the other generation counts.
	lines := strings.SplitAfter(headers, "\n")
	lines[2] = strings.Replace(lines[2], "mlkem768x25519 ", "mlkem768x25519 A", 1)
	result, n, _, err = try(t, g.recovery, strings.Join(lines, ""))
	failedAs(t, err, transfer.RecoveryFailed, "1 of 16")
	if n.Headers != 15 {
		t.Errorf("%+v", n)
	}
	_, err = g.recordCheck(t, checks, result)
	failedAs(t, err, transfer.RecoveryFailed, "1 headers did not open")
	all, err := g.vault.Generations()
	must(t, err)
	if checks.Checked(all[0].ID) || !checks.Checked(all[1].ID) {
		t.Error("not exactly the whole generation is checked")
	}

	// Made up without the key.
	ends := strings.LastIndex(good, `"proof":"`) + len(`"proof":"`)
	for name, change := range map[string]func(string) string{
		"a proof guessed": func(s string) string {
			i := strings.Index(s, `"proof":"`) + len(`"proof":"`)
			return resum(t, s[:i]+strings.Repeat("0", 64)+s[i+64:])
		},
		"one object left out": func(s string) string { return resum(t, strings.Replace(s, `"opened":8`, `"opened":7`, 1)) },
		"of another gate":     func(s string) string { return strings.Replace(s, `"gate":"gate"`, `"gate":"gate2"`, 1) },
	} {
		checks := noChecks(t)
		_, err := g.recordCheck(t, checks, change(good))
		failedAs(t, err, transfer.RecoveryFailed, "")
		if checks.Unchecked(all) != 2 || !checks.Last.IsZero() {
			t.Errorf("%s: something is marked", name)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "cut off": good[:len(good)-1], "without its end": good[:strings.LastIndex(good[:len(good)-1], "\n")+1],
		"another sum": good[:ends] + strings.Repeat("0", 64) + good[ends+64:], "twice": good + good, "headers": headers,
		"spaces": strings.Replace(good, ":", ": ", 1),
	} {
		size := g.ledger.Size()
		if _, err := g.recordCheck(t, noChecks(t), text); !errors.Is(err, transfer.ErrCheckFile) || g.ledger.Size() != size {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{"nothing": "", "cut off": headers[:len(headers)/2], "a result": good, "no end": headers[:strings.LastIndex(headers[:len(headers)-1], "\n")+1]} {
		result, _, _, err := try(t, g.recovery, text)
		if !errors.Is(err, transfer.ErrCheckFile) || strings.Contains(result, `"end"`) {
			t.Errorf("%s: %v, %q", name, err, result)
		}
	}
}

// resum makes the end of a result fit what came before, as a forger would.
func resum(t *testing.T, result string) string {
	t.Helper()
	lines := strings.SplitAfter(strings.TrimSuffix(result, "\n"), "\n")
	all, opened := sha256.New(), 0
	for _, line := range lines[1 : len(lines)-1] {
		var g struct {
			Opened int
			Proof  manifest.Hash
		}
		must(t, json.Unmarshal([]byte(line), &g))
		all.Write(g.Proof[:])
		opened += g.Opened
	}
	end := map[string]any{}
	must(t, json.Unmarshal([]byte(lines[len(lines)-1]), &end))
	data, err := json.Marshal(struct {
		End         string        `json:"end"`
		Generations int           `json:"generations"`
		Opened      int           `json:"opened"`
		Failed      int           `json:"failed"`
		Skipped     int           `json:"skipped"`
		Proof       manifest.Hash `json:"proof"`
	}{"result", len(lines) - 2, opened, 0, 0, manifest.Hash(all.Sum(nil))})
	must(t, err)
	return strings.Join(lines[:len(lines)-1], "") + string(data) + "\n"
}

// TestIdentities: with keys that were replaced, whichever fits opens.
func TestIdentities(t *testing.T) {
	g := acceptedNights(t, 1)
	all, err := g.vault.Generations()
	must(t, err)
	old, err := os.ReadFile(g.path("gate.key"))
	must(t, err)
	newer := filepath.Join(t.TempDir(), "new")
	fresh := newIdentity(t, newer)
	text, err := os.ReadFile(newer)
	must(t, err)

	g.identity = fresh
	_, err = transfer.Restore(t.Context(), g.restoration(), all[0].ID, filepath.Join(t.TempDir(), "out"))
	failedAs(t, err, transfer.Undecryptable, "")
	both, err := transfer.NewIdentity(string(text), string(old))
	must(t, err)
	if both.Recipient() != fresh.Recipient() || len(both.Recipients()) != 2 {
		t.Errorf("%q", both.Recipients())
	}
	if said := both.String() + both.GoString(); strings.Contains(said, "SECRET") {
		t.Error(said)
	}
	g.identity = both
	g.restore(t, all[0].ID)
	if _, err := transfer.NewIdentity(); err == nil {
		t.Error("an identity without keys")
	}
	if id, err := transfer.NewIdentity(string(text), "x"); err == nil || len(id.Recipients()) > 0 {
		t.Error("an identity of a key and of none")
	}
}

// TestRecoveryMany exports and tries the headers of very many generations in
// memory that does not grow with them.
func TestRecoveryMany(t *testing.T) {
	g := acceptedNights(t, 1)
	one, _ := g.export(t, noChecks(t))
	lines := strings.SplitAfter(strings.TrimSuffix(one, "\n"), "\n")
	const many = 1000
	skipped := strings.ReplaceAll(strings.Join(lines[1:len(lines)-1], ""), transfer.RecipientDigest(g.recovery.Recipient()).String(), strings.Repeat("0", 64))
	end, err := json.Marshal(struct {
		End         string `json:"end"`
		Generations int    `json:"generations"`
		Files       int    `json:"files"`
	}{"headers", many + 1, 8 * (many + 1)})
	must(t, err)
	parts := []string{lines[0], strings.Join(lines[1:len(lines)-1], "")}
	src := &repeated{parts: append(parts, slices.Repeat([]string{skipped}, many)...), end: string(end) + "\n"}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n, err := transfer.TryRecovery(t.Context(), g.recovery, src, discard{}, func(string, string) {})
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil || n.Headers != 8 || n.Skipped != many {
		t.Fatalf("%+v, %v", n, err)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 2<<20 {
		t.Errorf("%d bytes of memory for %d bytes of headers", grown, src.read)
	}
	t.Logf("%d MiB of headers", src.read>>20)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// repeated reads parts one after the other.
type repeated struct {
	parts []string
	end   string
	now   strings.Reader
	read  int64
}

func (r *repeated) Read(p []byte) (int, error) {
	for r.now.Len() == 0 && len(r.parts) > 0 {
		r.now, r.parts = *strings.NewReader(r.parts[0]), r.parts[1:]
		if len(r.parts) == 0 && r.end != "" {
			r.parts, r.end = []string{r.end}, ""
		}
	}
	n, err := r.now.Read(p)
	r.read += int64(n)
	return n, err
}

// TestRecoveryStops: who stops it leaves no result, and a vault that lost a
// piece is said, not skipped.
func TestRecoveryStops(t *testing.T) {
	g := acceptedNights(t, 1)
	headers, _ := g.export(t, noChecks(t))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out bytes.Buffer
	if _, err := transfer.TryRecovery(ctx, g.recovery, strings.NewReader(headers), &out, nil); !errors.Is(err, context.Canceled) || strings.Contains(out.String(), `"end"`) {
		t.Errorf("%v, %q", err, out.String())
	}
	x := transfer.RecoveryExport{Gate: g.name, Vault: g.vault, KeySets: []*manifest.KeySet{g.keys}, Checked: func(string) bool { return false }}
	if _, err := transfer.ExportHeaders(ctx, x, &out); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	x.KeySets = nil
	_, err := transfer.ExportHeaders(t.Context(), x, &out)
	failedAs(t, err, transfer.VaultDamaged, "made for the key set")
	x.KeySets = []*manifest.KeySet{g.keys}
	all, err := g.vault.Generations()
	must(t, err)
	part := filepath.Join(g.vault.Bag(all[0].ID), manifest.PartName(2))
	must(t, os.Chmod(part, 0o600))
	must(t, os.WriteFile(part, []byte("not age"), 0o600))
	_, err = transfer.ExportHeaders(t.Context(), x, &out)
	failedAs(t, err, transfer.VaultDamaged, "data/000002.age")
}

// The memory of checks is refused when it is something else.
func TestRecoveryChecksFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "recovery.json")
	for name, text := range map[string]string{
		"nothing": "", "another format": `{"format":"x","last":"2026-01-01T00:00:00Z","generations":{}}`, "an array": "[]",
		"an unknown member": `{"format":"sekisho-recovery-checks/1","last":"2026-01-01T00:00:00Z","generations":{},"more":1}`,
		"no generations":    `{"format":"sekisho-recovery-checks/1","last":"2026-01-01T00:00:00Z","generations":null}`,
		"a strange one":     `{"format":"sekisho-recovery-checks/1","last":"2026-01-01T00:00:00Z","generations":{"../x":"2026-01-01T00:00:00Z"}}`,
	} {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if c, err := transfer.ReadRecoveryChecks(path); err == nil || c != nil {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	c := noChecks(t)
	if c.Unchecked([]vault.Generation{{ID: "20261122T2140Z-k3-000001"}}) != 1 {
		t.Error("a generation counts as checked")
	}
}
