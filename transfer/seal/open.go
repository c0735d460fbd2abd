package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"sekisho/transfer/measure"
)

// Opened is what a seal proved.
type Opened struct {
	Kiosk   *Kiosk           // who sealed: one of the trusted
	Counter uint64           // the counter's value at the seal
	PCRs    map[int][32]byte // the measured state: PCRs 0–9 and 11–14 of the SHA-256 bank
	Events  *measure.List    // what gave the software register its value; empty: not known
	// ResetCount counts the TPM's resets (power cycles) and never goes back,
	// except by TPM2_Clear; RestartCount counts resumes since the last.
	ResetCount, RestartCount uint32
	Clock                    uint64 // milliseconds the TPM has run; after a power loss it may go back
	Safe                     bool   // Clock did not go back at the last start
	Firmware                 uint64 // the TPM's firmware version, in its maker's own notation
	Software                 bool   // its TPM is a program, as was known at enrolment
}

// Open verifies a whole seal and returns its payload only when everything held:
// the envelope, the certified counter and the quote, all by the same key of one
// of the trusted kiosks, and the events, if there are any, which must give the
// quoted value of their register. On an error, which is ErrMalformed, ErrUnknownKiosk or
// ErrBadSeal with the reason, or a defect of trusted itself, payload and by are
// nil. It does no I/O and keeps nothing: replays and unapproved states are the
// caller's to judge.
func Open(payloadType string, envelope []byte, ev Evidence, trusted []*Kiosk) (payload []byte, by *Opened, err error) {
	e, err := parseEnvelope(envelope)
	if err != nil {
		return nil, nil, err
	}
	if err := ev.bounded(); err != nil {
		return nil, nil, err
	}
	kiosk, id, err := find(e.Signatures[0].KeyID, trusted)
	if err != nil {
		return nil, nil, err
	}
	if err := e.verify(payloadType, id.key); err != nil {
		return nil, nil, err
	}
	by, err = id.check(sha256.Sum256(pae(e.PayloadType, e.Payload)), ev)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBadSeal, err)
	}
	by.Kiosk, by.Software = kiosk, kiosk.Software
	return e.Payload, by, nil
}

// find returns the one trusted kiosk that has the key.
func find(keyID string, trusted []*Kiosk) (*Kiosk, *identity, error) {
	var found *Kiosk
	var identity *identity
	for _, k := range trusted {
		id, err := k.identity()
		if err != nil {
			return nil, nil, fmt.Errorf("enrolled kiosk %q: %w", k.Name, err)
		}
		if id.key.KeyID() != keyID {
			continue
		}
		if found != nil {
			return nil, nil, fmt.Errorf("enrolled kiosks %q and %q have the same key", found.Name, k.Name)
		}
		found, identity = k, id
	}
	if found == nil {
		return nil, nil, fmt.Errorf("%w: no enrolled kiosk has key %q", ErrUnknownKiosk, keyID)
	}
	return found, identity, nil
}

// check verifies evidence made for digest.
func (id *identity) check(digest [32]byte, ev Evidence) (*Opened, error) {
	counter, err := id.attested(attestNV, ev.Counter, ev.CounterSig, digest)
	if err != nil {
		return nil, fmt.Errorf("counter: %w", err)
	}
	nv, ok := counter.nv()
	switch {
	case !ok:
		return nil, errors.New("counter: attestation is malformed")
	case !bytes.Equal(nv.name, id.counter):
		return nil, errors.New("counter: another than the enrolled one")
	case nv.offset != 0 || len(nv.contents) != 8:
		return nil, errors.New("counter: not certified as a whole")
	}

	quote, err := id.attested(attestQuote, ev.Quote, ev.QuoteSig, quoteNonce(digest, ev.Counter, ev.Events))
	if err != nil {
		return nil, fmt.Errorf("quote: %w", err)
	}
	values, err := parsePCRs(ev.PCRs)
	if err != nil {
		return nil, fmt.Errorf("quote: %w", err)
	}
	q, ok := quote.quote()
	sum := sha256.Sum256(values)
	switch {
	case !ok || q.bank != algSHA256 || !bytes.Equal(q.bits, quotedBits):
		return nil, fmt.Errorf("quote: not of the SHA-256 PCRs %v", quotedPCRs)
	case !bytes.Equal(q.digest, sum[:]):
		return nil, errors.New("quote: PCR values are not those quoted")
	case quote.resets != counter.resets || quote.restarts != counter.restarts || quote.firmware != counter.firmware:
		return nil, errors.New("quote: made in another run of the TPM than the counter's attestation")
	}

	by := &Opened{
		Counter:    binary.BigEndian.Uint64(nv.contents),
		PCRs:       byRegister(values),
		ResetCount: quote.resets, RestartCount: quote.restarts,
		Clock: quote.clock, Safe: quote.safe, Firmware: quote.firmware,
	}
	if by.Events, err = parseEvents(ev.Events, by.PCRs); err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	return by, nil
}

// attested checks the signature over an attestation and what is common to all.
func (id *identity) attested(kind uint16, data, sig []byte, nonce [32]byte) (*attestation, error) {
	der, err := signatureDER(sig)
	if err != nil {
		return nil, err
	}
	if !id.key.verify(data, der) {
		return nil, errors.New("signature is wrong")
	}
	a, err := parseAttestation(data)
	if err != nil {
		return nil, err
	}
	switch {
	case a.kind != kind:
		return nil, fmt.Errorf("attestation is of type %#x, want %#x", a.kind, kind)
	case !bytes.Equal(a.signer, id.signer):
		return nil, errors.New("key is not a primary key of the endorsement hierarchy")
	case !bytes.Equal(a.extra, nonce[:]):
		return nil, errors.New("made for something else")
	}
	return a, nil
}

// quoteNonce binds the quote to the same digest, to the counter's value, and to
// what the kiosk said of its software register: without that, whoever holds the
// drive could replace the events by an empty list.
func quoteNonce(digest [32]byte, counterAttest, events []byte) [32]byte {
	return [32]byte(sum256([]byte("sekisho-quote-v1\x00"), digest[:], sum256(counterAttest), sum256(events)))
}
