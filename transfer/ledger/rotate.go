package ledger

import (
	"crypto"
	"errors"
)

// Rotate opens the ledger in dir and hands it over from one key to the next: it
// appends r under a checkpoint that both sign, and what follows is signed by to.
// When it returns, that is on disk. Whoever trusts only the old key can so see
// which one follows. earlier are the keys before from, oldest first. A ledger
// that was handed over to that key already is only opened: after a crash Rotate
// is called again.
func Rotate(dir, origin string, from, to crypto.Signer, r Record, earlier ...crypto.PublicKey) (*Log, error) {
	old, err := newSigner(origin, from)
	if err != nil {
		return nil, err
	}
	l, keys, err := open(dir, origin, to, append(append([]crypto.PublicKey(nil), earlier...), from.Public()))
	if err != nil {
		return nil, err
	}
	if l.f.head.to == keys.newest() {
		return l, nil
	}
	if err = l.f.signedBy(keys.newest() - 1); err == nil {
		_, err = l.append(r, keys.newest()-1, keys.newest(), old, l.signer)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
