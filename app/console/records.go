package console

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"strings"

	"sekisho/transfer/enrol"
	"sekisho/transfer/ledger"
	"sekisho/transfer/manifest"
)

// Records lists a ledger: for a person a line each, with -json the records as
// they are kept.
func (c *Console) Records(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		c.Say("there are no records yet")
		return nil
	}
	err := ledger.List(dir, 0, func(r ledger.Record) error {
		if c.JSON {
			data, err := r.Marshal()
			if err == nil {
				_, err = c.Out.Write(data)
			}
			return err
		}
		words := []string{string(r.Event), r.Transfer, r.Result, r.Reason}
		if r.By != "" {
			words = append(words, "by "+r.By)
		}
		c.Say("%6d  %s  %s", r.Number, r.Time.Local().Format("2006-01-02 15:04:05"),
			strings.Join(strings.Fields(strings.Join(words, " ")), " "))
		return nil
	})
	if errors.As(err, new(*ledger.Fault)) {
		return c.faulty(err)
	}
	return err
}

// faultError is what ErrRecords says in detail.
type faultError struct{ error }

func (e faultError) Unwrap() error        { return e.error }
func (e faultError) Is(target error) bool { return target == ErrRecords }

// Faulty marks an error as ErrRecords.
func Faulty(err error) error { return faultError{err} }

// faulty tells of records that are not what was signed: someone has to look.
func (c *Console) faulty(err error) error {
	c.Note("%v\n  Keep a copy of the folder as it is and tell IT security.", err)
	return Said(Faulty(err))
}

type verifiedLine struct {
	Records int64  `json:"records"`
	Root    string `json:"root,omitempty"`
	Fault   string `json:"fault,omitempty"`
	First   *int64 `json:"first,omitempty"` // record concerned
	Detail  string `json:"detail,omitempty"`
}

// ErrRecords: the records are not what was signed.
var ErrRecords = errors.New("the data transfer records do not hold")

// Verified reports what checking a ledger found. A fault ends the command as
// refused: someone has to look.
func (c *Console) Verified(r *ledger.Report, err error) error {
	if err == nil {
		if c.JSON {
			c.Print(verifiedLine{Records: r.Head.Size, Root: r.Head.Root.String()})
		}
		c.Say("%s, all as signed; root %s", Count(r.Head.Size, "record"), r.Head.Root)
		return nil
	}
	var fault *ledger.Fault
	if c.JSON {
		l := verifiedLine{Fault: "incomplete", Detail: err.Error()}
		if errors.As(err, &fault) {
			l.Fault, l.First = string(fault.What), &fault.First
		}
		c.Print(l)
	}
	return c.faulty(err)
}

// Grouped writes the first 128 bits of a digest for two people to compare.
func Grouped(h manifest.Hash) string { return enrol.KeysFingerprint(h) }

// KeyID writes the first 64 bits of a key's digest, to tell keys apart.
func KeyID(h manifest.Hash) string { return grouped(h[:8]) }

func grouped(b []byte) string {
	digits := strings.ToUpper(hex.EncodeToString(b))
	var groups []string
	for i := 0; i < len(digits); i += 4 {
		groups = append(groups, digits[i:i+4])
	}
	return strings.Join(groups, "-")
}
