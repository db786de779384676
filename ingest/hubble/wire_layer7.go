package hubble

import "github.com/sennit-io/sennit/ingest/scan"

const (
	tagDNS   = 100<<3 | scan.WireBytes
	tagHTTP  = 101<<3 | scan.WireBytes
	tagKafka = 102<<3 | scan.WireBytes
)

func (d *Decoder) layer7Wire(msg []byte) {
	p, r := &d.p, &d.r
	var rec []byte
	is := func(k l7, more []byte) {
		if r.l7 != k {
			r.l7, rec = k, nil
		}
		rec = p.Merge(rec, more)
	}
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case number1:
			r.l7Type = layer7TypeOf(enum(w.Num))
		case number2:
			r.latencyNS = w.Num
		case tagDNS:
			is(l7DNS, w.Bytes)
		case tagHTTP:
			is(l7HTTP, w.Bytes)
		case tagKafka: // a plain flow
			r.l7, rec = l7None, nil
		}
	}
	p.End(&w)
	switch r.l7 {
	case l7HTTP:
		d.httpWire(rec)
	case l7DNS:
		d.dnsWire(rec)
	}
}

func (d *Decoder) httpWire(msg []byte) {
	p, h := &d.p, &d.r.http
	var code uint64
	var method, url []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case number1:
			code = w.Num
		case text2:
			method = w.Bytes
		case text3:
			url = w.Bytes
		case text5:
			d.headerWire(w.Bytes)
		}
	}
	p.End(&w)
	h.Status, h.Method = p.Uint16(code), d.name(method)
	if url = p.Text(url); len(url) > 0 {
		host, path := d.Redact.SplitURL(url)
		h.Host, h.Path = d.names.String(host), d.paths.String(path)
	}
}

func (d *Decoder) headerWire(msg []byte) {
	var key, value []byte
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case text1:
			key = w.Bytes
		case text2:
			value = w.Bytes
		}
	}
	d.p.End(&w)
	if h := headerOf(key); h != headerOther {
		d.headerValue(h, d.p.Text(value))
	}
}

func (d *Decoder) dnsWire(msg []byte) {
	p, r := &d.p, &d.r
	var query []byte
	var rcode uint64
	w := scan.Wire{Buf: msg}
	for w.Next() {
		switch w.Tag {
		case text1:
			query = w.Bytes
		case text2:
			if a := p.Addr(w.Bytes); a.IsValid() {
				d.answers = append(d.answers, a)
			}
		case number6:
			rcode = w.Num
		case text7:
			if r.qtype == "" {
				r.qtype = d.name(w.Bytes)
			}
		}
	}
	p.End(&w)
	r.query, r.rcode = d.lower.Lower(trimDot(p.Text(query))), p.Uint16(rcode)
}
