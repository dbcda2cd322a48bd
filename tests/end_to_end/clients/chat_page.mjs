// Opens the chat page in two separate browser sessions and sends a message from each.
// Usage: node chat_page.mjs PAGE_URL SCREENSHOT_FILE ; prints {"seenByOther": [...], "errors": [...]}
import { launchBrowser } from "./browser.mjs";

const [url, screenshot] = process.argv.slice(2);
const DEADLINE_MS = 90_000;
const errors = [];
const browser = await launchBrowser();

async function openPage(name) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  page.on("pageerror", (error) => errors.push(`${name}: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(`${name}: ${message.text()}`);
  });
  await page.goto(url);
  await page.getByLabel("Name").fill(name);
  return page;
}

async function send(page, body) {
  await page.getByLabel("Message", { exact: true }).fill(body);
  await page.getByRole("button", { name: "Send" }).click();
}

async function see(page, text) {
  const entry = page.getByRole("listitem").filter({ hasText: text });
  await entry.waitFor();
  return await entry.locator("span").innerText();
}

try {
  const [ada, grace] = [await openPage("Ada"), await openPage("Grace")];
  await send(ada, "sent by Ada");
  const seenByGrace = await see(grace, "sent by Ada");
  await send(grace, "sent by Grace");
  const seenByAda = await see(ada, "sent by Grace");
  await ada.getByRole("button", { name: "Greet me" }).click();
  const greeting = await see(grace, "Welcome, Ada!");
  const scheduled = await see(grace, "Ada has written 1 messages so far.");
  await ada.screenshot({ path: screenshot });
  console.log(JSON.stringify({ seen: [seenByGrace, seenByAda, greeting, scheduled], errors }));
} finally {
  await browser.close();
}
