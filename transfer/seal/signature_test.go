package seal

import (
	"bytes"
	"errors"
	"math/big"
	"testing"

	"sekisho/transfer/canonical"
)

// highS gives a signature's second form.
func highS(t testing.TB, der []byte) []byte {
	t.Helper()
	r, s, ok := parseDER(der)
	if !ok {
		t.Fatalf("no signature: %x", der)
	}
	out, err := marshalDER(r, new(big.Int).Sub(order, s))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Nobody can turn a seal into another that opens too.
func TestSecondFormOfSignaturesIsRefused(t *testing.T) {
	envelope, ev, kiosk := recordedSeal(t)
	e := mustParse(t, envelope)
	sig := e.Signatures[0].Sig
	e.Signatures[0].Sig = highS(t, sig)
	second, err := canonical.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, testType, second, ev, []*Kiosk{kiosk}, ErrBadSeal, "envelope's signature is wrong")
	high := func(sig []byte) []byte {
		out := bytes.Clone(sig)
		new(big.Int).Sub(order, new(big.Int).SetBytes(sig[40:])).FillBytes(out[40:])
		return out
	}
	for _, part := range []*[]byte{&ev.CounterSig, &ev.QuoteSig} {
		was := *part
		*part = high(was)
		refused(t, testType, envelope, ev, []*Kiosk{kiosk}, ErrBadSeal, "signature is in its second form")
		*part = was
	}
	if _, _, err := Open(testType, envelope, ev, []*Kiosk{kiosk}); err != nil {
		t.Fatal(err)
	}
}

// Whichever form a TPM or the library gives, the same one comes out.
func TestSignaturesAreNormalised(t *testing.T) {
	_, ev, _ := recordedSeal(t)
	r, s := ev.QuoteSig[6:38], ev.QuoteSig[40:]
	other := new(big.Int).Sub(order, new(big.Int).SetBytes(s)).Bytes()
	if sig, err := marshalSignature(r, other); err != nil || !bytes.Equal(sig, ev.QuoteSig) {
		t.Errorf("got %x, %v", sig, err)
	}
	p, _ := newPrivate(t)
	high := 0
	for range 64 {
		envelope, err := p.Sign(testType, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenSigned(testType, envelope, p.Public()); err != nil {
			t.Fatal(err)
		}
		e := mustParse(t, envelope)
		e.Signatures[0].Sig = highS(t, e.Signatures[0].Sig)
		if second, err := canonical.Marshal(e); err != nil {
			t.Fatal(err)
		} else if _, err := OpenSigned(testType, second, p.Public()); errors.Is(err, ErrBadSeal) {
			high++
		}
	}
	if high != 64 {
		t.Errorf("only %d of 64 second forms were refused", high)
	}
	for _, n := range []*big.Int{big.NewInt(1), half, new(big.Int).Add(half, big.NewInt(1)), new(big.Int).Sub(order, big.NewInt(1))} {
		if got := lowS(n); got.Cmp(half) > 0 || got.Sign() <= 0 {
			t.Errorf("lowS(%v) = %v", n, got)
		}
	}
}
