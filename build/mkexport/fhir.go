package main

import (
	"encoding/json"
	"fmt"
	"io"
)

// fhir returns the bundles for the national exchange of clinical information
// (JP-CLINS), one a file.
func (e export) fhir() []item {
	var items []item
	for i := range e.bundles {
		edit := e.edited("fhir", i, e.night)
		mtime := office(e.rng("fhir/time", i), -i%30+1)
		if edit > 0 {
			mtime = night(edit, 18, 0)
		}
		who := e.patient(e.rng("fhir", i).IntN(max(1, e.ssmix/10)))
		items = append(items, item{
			path:  fmt.Sprintf("FHIR/%s/Bundle-%s.json", who.id, e.uuid("fhir", i)),
			key:   fmt.Sprintf("fhir/%d/%d", i, edit),
			mtime: mtime,
			write: func(w io.Writer) error {
				j := json.NewEncoder(w)
				j.SetIndent("", "  ")
				return j.Encode(e.bundle(i, edit, who, mtime.Format("2006-01-02T15:04:05-07:00")))
			},
		})
	}
	return items
}

func (s seed) uuid(kind string, n ...int) string {
	var b [16]byte
	fill(s.rng("uuid/"+kind, n...), b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// bundle returns a patient with conditions, an allergy, results and a drug.
// Maps are marshalled with sorted keys, so the bytes are determined.
func (e export) bundle(i, edit int, who patient, made string) map[string]any {
	type obj = map[string]any
	r := e.rng("bundle", i, edit)
	concept := func(system, code, text string) obj {
		return obj{"coding": []obj{{"system": system, "code": code, "display": text}}, "text": text}
	}
	subject := obj{"reference": "urn:uuid:" + e.uuid("fhir/patient", i)}
	entries := []obj{{"fullUrl": subject["reference"], "resource": obj{
		"resourceType": "Patient",
		"meta":         obj{"profile": []string{"http://jpfhir.jp/fhir/clins/StructureDefinition/JP_Patient_CLINS_eCS"}},
		"identifier":   []obj{{"system": "urn:oid:1.2.392.100495.20.3.51.19999999999", "value": who.id}},
		"name":         []obj{{"use": "usual", "text": who.family + "　" + who.given, "family": who.family, "given": []string{who.given}}},
		"gender":       map[string]string{"M": "male", "F": "female"}[who.sex],
		"birthDate":    who.birth[:4] + "-" + who.birth[4:6] + "-" + who.birth[6:],
	}}}
	add := func(kind string, n int, resource obj) {
		resource["resourceType"] = kind
		resource["meta"] = obj{"profile": []string{"http://jpfhir.jp/fhir/clins/StructureDefinition/JP_" + kind + "_eCS"}, "lastUpdated": made}
		entries = append(entries, obj{"fullUrl": "urn:uuid:" + e.uuid("fhir/"+kind, i, n), "resource": resource})
	}
	for n := range 2 {
		d := pick(r, diseases)
		add("Condition", n, obj{"subject": subject, "code": concept("http://medis.or.jp/CodeSystem/master-disease-keyNumber", d.code, d.text), "recordedDate": made,
			"note": []obj{{"text": pick(r, sentences)}}})
	}
	add("AllergyIntolerance", 0, obj{"patient": subject, "criticality": "low", "code": concept("http://jpfhir.jp/fhir/core/CodeSystem/JP_JfagyFoodAllergen_CS", "J9FD01", "そば")})
	for n := range 5 {
		l := pick(r, labs)
		add("Observation", n, obj{"status": "final", "subject": subject, "code": concept("urn:oid:1.2.392.200119.4.504", l.code, l.text), "effectiveDateTime": made,
			"valueQuantity": obj{"value": float64(l.low+r.IntN(l.span)) / 10, "unit": l.unit}})
	}
	drug := pick(r, drugs)
	add("MedicationRequest", 0, obj{"status": "active", "intent": "order", "subject": subject, "authoredOn": made,
		"medicationCodeableConcept": concept("urn:oid:1.2.392.100495.20.2.74", drug.code, drug.text)})
	return obj{
		"resourceType": "Bundle",
		"meta":         obj{"profile": []string{"http://jpfhir.jp/fhir/clins/StructureDefinition/JP_Bundle_CLINS"}, "lastUpdated": made},
		"identifier":   obj{"system": "http://jpfhir.jp/fhir/clins/bundle-identifier", "value": fmt.Sprintf("1319999999^%s^%d", who.id, i)},
		"type":         "collection",
		"timestamp":    made,
		"entry":        entries,
	}
}
