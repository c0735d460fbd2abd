package manifest

import (
	"bytes"
	"time"
)

// ReceiptType is the DSSE payload type of a receipt.
const ReceiptType = "application/vnd.sekisho.receipt+json"

// Results of an import, as a receipt states them.
const (
	Accepted = "accepted"
	Refused  = "refused"
)

const (
	receiptFormat = "sekisho-receipt/1"
	maxReceipt    = 64 << 10
)

// Receipt is the gate's word on one transfer, given only after its seal held.
// It holds no names; files are meant by their line in the index.
type Receipt struct {
	Format     string    `json:"format"` // "sekisho-receipt/1"
	Gate       string    `json:"gate"`
	Transfer   string    `json:"transfer"`
	Kiosk      string    `json:"kiosk"`
	Counter    uint64    `json:"counter"`
	Payload    Hash      `json:"payload"` // the tag manifest's digest: what was accepted or refused
	Result     string    `json:"result"`
	Reason     string    `json:"reason,omitempty"`     // of a refusal, a name of the closed list
	Generation string    `json:"generation,omitempty"` // of an acceptance
	Scanned    bool      `json:"scanned"`              // the gate's own engines searched every file
	Engines    []Engine  `json:"engines,omitempty"`    // those engines
	Time       time.Time `json:"time"`
	Ledger     string    `json:"ledger"` // checkpoint of the gate's ledger
}

// Marshal gives the receipt's canonical form, ending in a line feed.
func (r *Receipt) Marshal() ([]byte, error) {
	r.Format = receiptFormat
	if err := r.check(); err != nil {
		return nil, err
	}
	data, err := marshal(r)
	if err != nil {
		return nil, err
	}
	return append(data, '\n'), nil
}

// ParseReceipt reads the bytes of a receipt whose signature verified.
func ParseReceipt(data []byte) (*Receipt, error) {
	if len(data) > maxReceipt {
		return nil, malformed("a receipt of %d bytes", len(data))
	}
	body, ended := bytes.CutSuffix(data, []byte("\n"))
	r := new(Receipt)
	if err := parse(body, r); err != nil {
		return nil, err
	}
	if !ended {
		return nil, malformed("a receipt without its last line feed")
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Receipt) check() error {
	switch {
	case r.Format != receiptFormat || !ValidName(r.Gate) || !ValidName(r.Kiosk) || !ValidID(r.Transfer) || r.Counter == 0:
		return malformed("not a receipt")
	case r.Result == Accepted && (!ValidID(r.Generation) || r.Reason != ""),
		r.Result == Refused && (r.Generation != "" || !ValidName(r.Reason)),
		r.Result != Accepted && r.Result != Refused:
		return malformed("a receipt that is neither acceptance nor refusal")
	case r.Scanned != (len(r.Engines) > 0):
		return malformed("a receipt that names engines without a scan, or a scan without engines")
	case !validTime(r.Time):
		return malformed("time %v", r.Time)
	case !validLines(r.Ledger, maxCheckpoint):
		return malformed("a receipt without the checkpoint of the gate's ledger")
	}
	return checkEngines(r.Engines)
}
