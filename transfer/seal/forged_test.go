package seal

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"
	"testing"
)

// forge signs an attestation with a key in a file, as no TPM would.
func forge(t *testing.T, by *PrivateKey, data []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(data)
	der, err := by.Signer().Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		t.Fatal(err)
	}
	sig, err := marshalSignature(rs.R.Bytes(), rs.S.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// Every field of an attestation is checked by itself, also those that a TPM's
// restricted key would never sign otherwise.
func TestForgedAttestations(t *testing.T) {
	envelope, recorded, kiosk := recordedSeal(t)
	digest := sha256.Sum256(pae(testType, mustParse(t, envelope).Payload))
	by, _ := newPrivate(t)
	id, err := kiosk.identity()
	if err != nil {
		t.Fatal(err)
	}
	id.key = by.Public()

	const ( // offsets in a TPMS_ATTEST
		magic, kind, signer, extra = 0, 4, 6, 42
		resets, restarts, safe     = 84, 88, 92
		firmware, body             = 93, 101
	)
	set := func(at int, b ...byte) func([]byte) []byte {
		return func(data []byte) []byte { copy(data[at:], b); return data }
	}
	same := func(data []byte) []byte { return data }
	more := func(data []byte) []byte { return append(data, 0) }
	for _, c := range []struct {
		name           string
		counter, quote func([]byte) []byte
		reason         string // none: holds
	}{
		{"as it was", same, same, ""},
		{"counter: not by a TPM", set(magic, 0), same, "counter: attestation was not made inside a TPM"},
		{"counter: type", set(kind+1, 0x18), same, "counter: attestation is of type"},
		{"counter: signer", set(signer+9, 0, 0), same, "counter: key is not a primary key of the endorsement"},
		{"counter: signer's length", set(signer+1, 33), same, "counter: "},
		{"counter: nonce", set(extra+2, 0, 0), same, "counter: made for something else"},
		{"counter: clock", set(safe, 2), same, "counter: attestation's clock is marked 2"},
		{"counter: resets", set(resets, 9), same, "another run"},
		{"counter: restarts", set(restarts, 9), same, "another run"},
		{"counter: firmware", set(firmware, 9), same, "another run"},
		{"counter: name", set(body+9, 0, 0), same, "counter: another than the enrolled one"},
		{"counter: offset", set(body+37, 1), same, "counter: not certified as a whole"},
		{"counter: length", func(b []byte) []byte { b[body+39] = 7; return b[:len(b)-1] }, same, "counter: not certified as a whole"},
		{"counter: bytes after", more, same, "counter: attestation is malformed"},
		{"counter: cut", func(b []byte) []byte { return b[:body-1] }, same, "counter: attestation is cut short"},
		{"quote: not by a TPM", same, set(magic, 0), "quote: attestation was not made inside a TPM"},
		{"quote: type", same, set(kind+1, 0x14), "quote: attestation is of type"},
		{"quote: signer", same, set(signer+9, 0, 0), "quote: key is not a primary key of the endorsement"},
		{"quote: resets", same, set(resets, 9), "another run"},
		{"quote: no list", same, set(body+3, 0), "quote: not of the SHA-256 PCRs"},
		{"quote: two lists", same, set(body+3, 2), "quote: not of the SHA-256 PCRs"},
		{"quote: bank", same, set(body+5, 0x0C), "quote: not of the SHA-256 PCRs"},
		{"quote: selection", same, set(body+8, 0x7F), "quote: not of the SHA-256 PCRs"},
		{"quote: digest", same, set(body+12, 0, 0, 0), "quote: PCR values are not those quoted"},
		{"quote: bytes after", same, more, "quote: not of the SHA-256 PCRs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev := Evidence{PCRs: recorded.PCRs, Events: recorded.Events}
			ev.Counter = c.counter(bytes.Clone(recorded.Counter))
			nonce := quoteNonce(digest, ev.Counter, ev.Events)
			ev.Quote = c.quote(slices.Concat(recorded.Quote[:extra+2], nonce[:], recorded.Quote[extra+34:]))
			ev.CounterSig, ev.QuoteSig = forge(t, by, ev.Counter), forge(t, by, ev.Quote)
			opened, err := id.check(digest, ev)
			if c.reason == "" {
				if err != nil || opened.Counter != binary.BigEndian.Uint64(ev.Counter[body+40:]) {
					t.Fatalf("got %+v, %v", opened, err)
				}
				return
			}
			if err == nil || opened != nil || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("got %+v, %v, want %q", opened, err, c.reason)
			}
		})
	}
}
