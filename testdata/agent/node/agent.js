// An agent in Node as people write them without a framework: plain https to the
// model, fetch to nothing, one thread, child processes for its tools, and spans
// over OTLP whose starts are cut to the millisecond, as OpenTelemetry's SDK for
// JavaScript has them.
'use strict'
const { spawn } = require('node:child_process')
const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const https = require('node:https')

const flags = {}
for (let i = 2; i < process.argv.length; i += 2) flags[process.argv[i].slice(2)] = process.argv[i + 1]
const model = new URL(flags.model)
const connections = new https.Agent({ keepAlive: true, maxSockets: 256 })

// Spans, in batches.
let batch = []
const hex = (n) => crypto.randomBytes(n).toString('hex')
const value = (v) => (typeof v === 'number' ? { intValue: String(v) } : Array.isArray(v) ? { arrayValue: { values: v.map(value) } } : { stringValue: v })
const attributes = (o) => Object.entries(o).map(([key, v]) => ({ key, value: value(v) }))
// As OpenTelemetry's SDK does, the clocks are read one right after the other: what
// comes between (an id takes milliseconds on a busy machine) would be missing at the end.
function begin(parent, name, kind, attrs) {
  const id = hex(8)
  const start = Math.floor(performance.timeOrigin + performance.now())
  const since = performance.now()
  return { trace: parent.trace, id, parent: parent.id, name, kind, attrs, start, since }
}
function end(s) {
  const ns = BigInt(s.start) * 1000000n + BigInt(Math.round((performance.now() - s.since) * 1e6))
  batch.push({
    traceId: s.trace, spanId: s.id, parentSpanId: s.parent, name: s.name, kind: s.kind, flags: 257,
    startTimeUnixNano: String(s.start) + '000000', endTimeUnixNano: String(ns), attributes: attributes(s.attrs), status: {},
  })
}
function send() {
  if (batch.length === 0) return Promise.resolve()
  const spans = batch
  batch = []
  const resource = { 'service.name': process.env.OTEL_SERVICE_NAME || 'node', 'telemetry.sdk.language': 'nodejs' }
  const body = JSON.stringify({ resourceSpans: [{ resource: { attributes: attributes(resource) }, scopeSpans: [{ scope: { name: 'agent' }, spans }] }] })
  return new Promise((done) => {
    const q = http.request(process.env.OTEL_EXPORTER_OTLP_ENDPOINT + '/v1/traces', { method: 'POST', headers: { 'Content-Type': 'application/json' } }, (a) => {
      a.resume()
      a.on('end', done)
    })
    q.on('error', (e) => { console.error('send spans:', e); done() })
    q.end(body)
  })
}
setInterval(send, 2000)

function ask(contents, parent) {
  const s = begin(parent, 'chat gemini-2.5-flash', 1, { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': 'gemini-2.5-flash' })
  const body = JSON.stringify({ contents, tools: [{ functionDeclarations: [{ name: 'run_command' }] }] })
  return new Promise((done, failed) => {
    const q = https.request({
      agent: connections, host: model.hostname, port: model.port, method: 'POST', path: '/v1beta/models/gemini-2.5-flash:generateContent',
      headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
    }, (a) => {
      const parts = []
      a.on('data', (b) => parts.push(b))
      a.on('end', () => {
        const answer = JSON.parse(Buffer.concat(parts))
        s.attrs['gen_ai.usage.input_tokens'] = answer.usageMetadata.promptTokenCount
        s.attrs['gen_ai.usage.output_tokens'] = answer.usageMetadata.candidatesTokenCount + (answer.usageMetadata.thoughtsTokenCount || 0)
        end(s)
        done(answer.candidates[0].content)
      })
    })
    q.on('error', failed)
    q.end(body)
  })
}

function run(command, parent, request) {
  const s = begin(parent, 'execute_tool run_command', 1, { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'run_command', 'gen_ai.tool.call.arguments': JSON.stringify({ command }) })
  const start = Date.now()
  return new Promise((done) => {
    const child = spawn('/bin/sh', ['-c', command])
    let out = ''
    child.stdout.on('data', (b) => { out += b })
    child.on('close', () => {
      const fact = { request, kind: 'process', entry: false, node: flags.node, key: { pid: child.pid }, start_ns: start * 1e6, end_ns: Date.now() * 1e6 + 1e6, possible: ['tool_command', 'tool_window'] }
      // Milliseconds as nanoseconds are more than a double holds.
      fs.appendFileSync(flags.truth, JSON.stringify(fact).replace(/"(start|end)_ns":\d+/g, (_, k) => `"${k}_ns":${BigInt(k === 'start' ? start : Date.now() + 1) * 1000000n}`) + '\n')
      end(s)
      done(out)
    })
  })
}

async function serve(prompt, parent) {
  const request = /\[(r-\d+)\]/.exec(prompt)[1]
  const agent = begin(parent, 'invoke_agent node', 1, { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': 'node' })
  const contents = [{ role: 'user', parts: [{ text: prompt }] }]
  for (;;) {
    const content = await ask(contents, agent)
    contents.push(content)
    const calls = content.parts.filter((p) => p.functionCall)
    if (calls.length === 0) {
      end(agent)
      return content.parts.map((p) => p.text).join('')
    }
    const results = await Promise.all(calls.map(async ({ functionCall: c }) => {
      const output = c.name === 'run_command' ? await run(c.args.command, agent, request) : 'nothing'
      return { functionResponse: { name: c.name, response: { output } } }
    }))
    contents.push({ role: 'user', parts: results })
  }
}

const server = http.createServer((q, w) => {
  const parts = []
  q.on('data', (b) => parts.push(b))
  q.on('end', async () => {
    const [, trace, id] = (q.headers.traceparent || `00-${hex(16)}--`).split('-')
    const s = begin({ trace, id }, 'POST /run', 2, { 'http.request.method': 'POST', 'url.path': '/run', 'network.peer.address': q.socket.remoteAddress, 'network.peer.port': q.socket.remotePort })
    try {
      const answer = await serve(JSON.parse(Buffer.concat(parts)).prompt, s)
      w.setHeader('Content-Type', 'application/json')
      w.end(JSON.stringify({ answer }))
    } catch (e) {
      w.statusCode = 502
      w.end(String(e))
    }
    end(s)
  })
})
server.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`))
process.on('SIGTERM', async () => { await send(); process.exit(0) })
