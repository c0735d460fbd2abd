package ledger

// Event is what a record is about: a short word of the closed list below.
type Event string

// The events this version writes. A new one is added here and in FORMAT.md.
const (
	Start       Event = "start"       // a program began its work
	Stop        Event = "stop"        // and ended it
	SignIn      Event = "sign-in"     // a person signed in, or was refused
	Emergency   Event = "emergency"   // break-glass sign-in or one-night code
	Prepare     Event = "prepare"     // a workflow's source became a bag, or did not
	Hold        Event = "hold"        // a workflow waits for IT
	Approve     Event = "approve"     // IT decided on a finding, a state or a hold
	Write       Event = "write"       // a bag went onto a drive
	Seal        Event = "seal"        // and was sealed for it
	Settle      Event = "settle"      // a receipt closed a transfer
	Lose        Event = "lose"        // a drive was reported lost, or found again
	Import      Event = "import"      // the gate accepted a transfer
	Refuse      Event = "refuse"      // the gate refused one
	Check       Event = "verify"      // stored generations or this ledger were checked
	Scan        Event = "scan"        // stored generations were scanned again
	Restore     Event = "restore"     // data were restored
	Rehearse    Event = "rehearse"    // a restore was practised and timed
	Prune       Event = "prune"       // generations past their retention were removed
	Freeze      Event = "freeze"      // imports and pruning stopped, or were let go on
	Enrol       Event = "enrol"       // a kiosk, gate, person or drive was registered
	Trust       Event = "trust"       // a key or software state was trusted, or no longer
	Lend        Event = "lend"        // a drive was lent, returned or counted
	Definitions Event = "definitions" // the scanners' definitions were replaced
	Review      Event = "review"      // a person signed off a check of the records
	Alarm       Event = "alarm"       // something that IT must see
)

var events = map[Event]bool{
	Start: true, Stop: true, SignIn: true, Emergency: true, Prepare: true, Hold: true,
	Approve: true, Write: true, Seal: true, Settle: true, Lose: true, Import: true,
	Refuse: true, Check: true, Scan: true, Restore: true, Rehearse: true, Prune: true,
	Freeze: true, Enrol: true, Trust: true, Lend: true, Definitions: true, Review: true,
	Alarm: true,
}

// Known reports whether this version writes e. A reader shows others as they are.
func (e Event) Known() bool { return events[e] }
