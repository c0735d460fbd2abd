package main

import (
	"errors"
	"fmt"
	"io/fs"

	"sekisho/transfer/enrol"
	"sekisho/transfer/seal"
)

// onlyName refuses a key that is enrolled under another name: one of two kiosks
// would lend its standing to the other.
func (m *machine) onlyName(kiosk string, key *seal.PublicKey) error {
	all, err := m.kiosks()
	if err != nil {
		return err
	}
	for _, k := range all {
		other, err := k.PublicKey()
		if err != nil {
			return err
		}
		if k.Name != kiosk && other.KeyID() == key.KeyID() {
			return enrolmentRefused(kiosk, fmt.Errorf("the key of its TPM is enrolled as that of kiosk %s: gate enrol retire %s comes first", k.Name, k.Name))
		}
	}
	return nil
}

// less says in what the enrolment to come promises less than the one that it
// takes the place of; nothing when there is none.
func (m *machine) less(p *enrol.Pending) (all []string, err error) {
	k, err := readKiosk(m.kioskPath(p.Request.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(k.Approvals) > 0 && !p.Request.Bound() {
		all = append(all, "its TPM sealed in approved states only, and will seal in any")
	}
	if k.Mode == seal.ModeCertified && p.Origin.Mode != seal.ModeCertified {
		all = append(all, "a maker certified its TPM, and none does now")
	}
	if !k.Software && p.Origin.Software {
		all = append(all, "its TPM was hardware, and is software now")
	}
	return all, nil
}
