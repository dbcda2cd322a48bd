import { action } from "./functions";

export const get = action({
  handler: async (_ctx, { url }: { url: string }) => {
    const response = await fetch(url);
    return [response.status, response.redirected, response.url, await response.text()];
  },
});

export const upload = action({
  handler: async (_ctx, { url, megabytes }: { url: string; megabytes: number }) => {
    let left = megabytes;
    const body = new ReadableStream({
      pull(controller) {
        if (left-- === 0) controller.close();
        else controller.enqueue(new Uint8Array(1024 * 1024));
      },
    });
    const response = await fetch(url, { method: "POST", body, duplex: "half" } as RequestInit);
    let bytes = 0;
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      bytes += chunk.length;
    }
    return bytes;
  },
});

export const firstMegabyte = action({
  handler: async (_ctx, { url }: { url: string }) => {
    const reader = (await fetch(url)).body!.getReader();
    let bytes = 0;
    while (bytes < 1024 * 1024) bytes += (await reader.read()).value!.length;
    return bytes >= 1024 * 1024;
  },
});

export const postForm = action({
  handler: async (_ctx, { url }: { url: string }) => {
    const form = new FormData();
    form.append("name", "Ada");
    form.append("file", new Blob(["\x00\x01"], { type: "image/png" }), 'a"b.png');
    const sent = new Request(url, { method: "POST", body: form });
    const type = sent.headers.get("content-type")!;
    const echoed = await (await fetch(sent)).arrayBuffer();
    const read = await new Response(echoed, { headers: { "content-type": type } }).formData();
    const file = read.get("file") as File;
    return [read.get("name"), file.name, file.type, file.size];
  },
});

export const timeout = action({
  handler: async (_ctx, { url }: { url: string }) => {
    return await fetch(url, { signal: AbortSignal.timeout(50) }).catch((error: Error) => error.name);
  },
});

export const signed = action({
  handler: async () => {
    const algorithm = { name: "RSA-PSS", hash: "SHA-256", modulusLength: 2048 };
    const parameters = { ...algorithm, publicExponent: Uint8Array.of(1, 0, 1) };
    const keys = await crypto.subtle.generateKey(parameters, false, ["sign", "verify"]);
    const data = new TextEncoder().encode("text");
    const options = { name: "RSA-PSS", saltLength: 32 };
    const signature = await crypto.subtle.sign(options, keys.privateKey, data);
    return await crypto.subtle.verify(options, keys.publicKey, signature, data);
  },
});
