from google import genai

client = genai.Client()
print(client.models.generate_content(model="gemini-2.5-flash", contents="hi").text)
print("".join(chunk.text or "" for chunk in client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi")))
