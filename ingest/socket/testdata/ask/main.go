// Command ask asks a URL for each path, in turn over one connection of HTTP/2.
package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
)

func main() {
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is time
	p := new(http.Protocols)
	p.SetHTTP2(true)
	c := &http.Client{Transport: &http.Transport{Protocols: p, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	for _, path := range os.Args[2:] {
		r, _ := http.NewRequest("GET", os.Args[1]+path+"?key=secret", nil)
		r.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		answer, err := c.Do(r)
		if err != nil {
			panic(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}
