package ledger

import "fmt"

// What is the kind of a fault. The list is closed.
type What string

const (
	Altered    What = "altered"     // a record is not the one that was signed
	Misplaced  What = "misplaced"   // a record does not carry the number of its place
	Malformed  What = "malformed"   // a line is not a record
	Missing    What = "missing"     // records that were signed are not there
	Unsigned   What = "unsigned"    // a record that no checkpoint covers
	Forged     What = "forged"      // a checkpoint that this ledger's key did not sign
	Headless   What = "headless"    // the checkpoints are missing or unreadable
	RolledBack What = "rolled back" // another party holds a later checkpoint
	Forked     What = "forked"      // another party holds a different past
)

// Fault says that a ledger is not what its key signed: someone, or a failing
// disk, changed it. The operator keeps a copy of the folder as it is, tells IT
// security, and compares the named records with the mirror the other side keeps.
type Fault struct {
	What   What
	First  int64 // first record concerned
	Last   int64 // last record concerned, at least First
	Detail string
	cause  error // what reading the files said, when that is all there is
}

func (f *Fault) Unwrap() error { return f.cause }

func (f *Fault) Error() string {
	if f.First == f.Last {
		return fmt.Sprintf("ledger record %d %s: %s", f.First, f.What, f.Detail)
	}
	return fmt.Sprintf("ledger records %d to %d %s: %s", f.First, f.Last, f.What, f.Detail)
}
