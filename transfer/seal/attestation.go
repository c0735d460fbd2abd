package seal

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

const (
	generated   = 0xFF544347 // TPM_GENERATED_VALUE
	attestNV    = 0x8014     // TPM_ST_ATTEST_NV
	attestQuote = 0x8018     // TPM_ST_ATTEST_QUOTE
)

// attestation is a TPMS_ATTEST up to its attested part.
type attestation struct {
	kind            uint16
	signer, extra   cryptobyte.String
	clock, firmware uint64
	resets          uint32
	restarts        uint32
	safe            bool
	body            cryptobyte.String
}

func parseAttestation(data []byte) (*attestation, error) {
	s := cryptobyte.String(data)
	var a attestation
	var magic uint32
	var safe uint8
	if !s.ReadUint32(&magic) || !s.ReadUint16(&a.kind) ||
		!s.ReadUint16LengthPrefixed(&a.signer) || !s.ReadUint16LengthPrefixed(&a.extra) ||
		!s.ReadUint64(&a.clock) || !s.ReadUint32(&a.resets) || !s.ReadUint32(&a.restarts) || !s.ReadUint8(&safe) ||
		!s.ReadUint64(&a.firmware) {
		return nil, errors.New("attestation is cut short")
	}
	if magic != generated {
		return nil, errors.New("attestation was not made inside a TPM")
	}
	if safe > 1 {
		return nil, fmt.Errorf("attestation's clock is marked %d, want 0 or 1", safe)
	}
	a.safe, a.body = safe == 1, s
	return &a, nil
}

// certifiedNV is a TPMS_NV_CERTIFY_INFO.
type certifiedNV struct {
	name, contents cryptobyte.String
	offset         uint16
}

func (a *attestation) nv() (c certifiedNV, ok bool) {
	s := a.body
	ok = s.ReadUint16LengthPrefixed(&c.name) && s.ReadUint16(&c.offset) && s.ReadUint16LengthPrefixed(&c.contents) && s.Empty()
	return c, ok
}

// quoted is a TPMS_QUOTE_INFO with one selection.
type quoted struct {
	lists  uint32
	bank   uint16
	bits   cryptobyte.String
	digest cryptobyte.String
}

func (a *attestation) quote() (q quoted, ok bool) {
	s := a.body
	ok = s.ReadUint32(&q.lists) && q.lists == 1 && s.ReadUint16(&q.bank) && s.ReadUint8LengthPrefixed(&q.bits) &&
		s.ReadUint16LengthPrefixed(&q.digest) && s.Empty()
	return q, ok
}
