"""An agent in Python as people write them without a framework: http.client over
TLS to the model, a thread for each connection, a pool of threads for its tools,
and spans over OTLP, in batches. What its tools ran goes to a file of truth."""

import concurrent.futures
import http.client
import http.server
import json
import os
import re
import secrets
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

flags = {name[2:]: value for name, value in zip(sys.argv[1::2], sys.argv[2::2])}
model = urllib.parse.urlsplit(flags["model"])
otlp = urllib.parse.urlsplit(os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"])
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
pool = concurrent.futures.ThreadPoolExecutor(32)
truth = open(flags["truth"], "a", buffering=1)
lock = threading.Lock()
batch = []


def value(v):
    return {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}


def attributes(values):
    return [{"key": k, "value": value(v)} for k, v in values.items()]


class Span:
    def __init__(self, trace, parent, name, kind):
        self.trace, self.parent, self.name, self.kind = trace, parent, name, kind
        self.attrs = {}
        self.id, self.start = secrets.token_hex(8), time.time_ns()

    def end(self):
        with lock:
            batch.append({
                "traceId": self.trace, "spanId": self.id, "parentSpanId": self.parent, "name": self.name, "kind": self.kind, "flags": 257,
                "startTimeUnixNano": str(self.start), "endTimeUnixNano": str(time.time_ns()), "attributes": attributes(self.attrs), "status": {},
            })


def send():
    with lock:
        spans = batch[:]
        batch.clear()
    if not spans:
        return
    resource = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "python"), "telemetry.sdk.language": "python"}
    body = json.dumps({"resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": [{"scope": {"name": "agent"}, "spans": spans}]}]})
    c = http.client.HTTPConnection(otlp.hostname, otlp.port)
    c.request("POST", "/v1/traces", body, {"Content-Type": "application/json"})
    c.getresponse().read()
    c.close()


def export():
    while True:
        time.sleep(2)
        send()


def run(command, parent, request):
    span = Span(parent.trace, parent.id, "execute_tool run_command", 1)
    span.attrs = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "run_command", "gen_ai.tool.call.arguments": json.dumps({"command": command})}
    start = time.time_ns()
    child = subprocess.Popen(["/bin/sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = child.communicate()[0].decode()
    truth.write(json.dumps({
        "request": request, "kind": "process", "entry": False, "node": flags["node"], "key": {"pid": child.pid},
        "start_ns": start, "end_ns": time.time_ns(), "possible": ["tool_command", "tool_window"],
    }) + "\n")
    span.end()
    return output


class Agent(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connection_to_model = None

    def log_message(self, *args):
        pass

    def ask(self, contents, parent):
        span = Span(parent.trace, parent.id, "chat gemini-2.5-flash", 1)
        span.attrs = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gemini-2.5-flash"}
        if self.connection_to_model is None:
            self.connection_to_model = http.client.HTTPSConnection(model.hostname, model.port, context=context)
        self.connection_to_model.request(
            "POST", "/v1beta/models/gemini-2.5-flash:generateContent",
            json.dumps({"contents": contents, "tools": [{"functionDeclarations": [{"name": "run_command"}]}]}), {"Content-Type": "application/json"})
        answer = json.loads(self.connection_to_model.getresponse().read())
        usage = answer["usageMetadata"]
        span.attrs["gen_ai.usage.input_tokens"] = usage["promptTokenCount"]
        span.attrs["gen_ai.usage.output_tokens"] = usage["candidatesTokenCount"] + usage.get("thoughtsTokenCount", 0)
        span.end()
        return answer["candidates"][0]["content"]

    def do_POST(self):
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["prompt"]
        _, trace, parent, _ = (self.headers.get("traceparent") or f"00-{secrets.token_hex(16)}--").split("-")
        server = Span(trace, parent, "POST /run", 2)
        server.attrs = {"http.request.method": "POST", "url.path": "/run", "network.peer.address": self.client_address[0], "network.peer.port": self.client_address[1]}
        agent = Span(trace, server.id, "invoke_agent python", 1)
        agent.attrs = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "python"}
        request = re.search(r"\[(r-\d+)\]", prompt).group(1)
        contents = [{"role": "user", "parts": [{"text": prompt}]}]
        while True:
            content = self.ask(contents, agent)
            contents.append(content)
            calls = [p["functionCall"] for p in content["parts"] if "functionCall" in p]
            if not calls:
                break
            waiting = [(c, pool.submit(run, c["args"]["command"], agent, request) if c["name"] == "run_command" else None) for c in calls]
            contents.append({"role": "user", "parts": [
                {"functionResponse": {"name": c["name"], "response": {"output": w.result() if w else "nothing"}}} for c, w in waiting]})
        agent.end()
        answer = json.dumps({"answer": "".join(p.get("text", "") for p in content["parts"])}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        server.end()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def stop(*_):
    send()
    os._exit(0)


server = Server(("127.0.0.1", 0), Agent)
signal.signal(signal.SIGTERM, stop)
threading.Thread(target=export, daemon=True).start()
print(f"127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
